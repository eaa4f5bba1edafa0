"""How the two services are started on a laptop: their commands and their environments."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from thale.local import aot_cache
from thale.local.data_dir import Home
from thale.local.ports import HOST, Ports
from thale.local.process_guard import ROOM
from thale.local.runtime import Installed

# glibc keeps big activations in memory instead of giving them back after each layer: 1.5 to 2.4 times faster.
_MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
    "MALLOC_ARENA_MAX": "1",
}


def torchserve_command(installed: Installed, home: Home, archives: Sequence[str]) -> list[str]:
    """Return TorchServe's command, which loads these archives of the store."""
    return [
        *installed.java_command(ROOM, *aot_cache.options(installed, home)),
        *("--python", str(worker_program(home))),
        *("-s", str(home.model_store)),
        *(("-m", *archives) if archives else ()),
    ]


def worker_program(home: Home) -> Path:
    """Write the program that TorchServe takes for Python when it starts a worker, and return it.

    See `thale_models.worker`. Where the home's file system runs no programs, it is Python itself.
    """
    program = home.torchserve / "worker"
    command = shlex.join([sys.executable, "-u", "-P", "-m", "thale_models.worker"])
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o700)
    return program if os.access(program, os.X_OK) else Path(sys.executable)


def torchserve_environment(home: Home, ports: Ports, workers: int) -> dict[str, str]:
    """Return TorchServe's environment: where it listens and writes. All else stands in config.properties."""
    logs = str(home.logs)
    return {
        **os.environ,
        **_MALLOC,
        "LOG_LOCATION": logs,
        "METRICS_LOCATION": logs,
        "THALE_WORKER_CACHE": str(home.folder / "openvino"),
        "TS_DEFAULT_WORKERS_PER_MODEL": str(workers),
        "TS_ENABLE_MODEL_API": "true",  # versions come and go while it serves; management is on loopback
        "TS_INFERENCE_ADDRESS": f"http://{HOST}:{ports.inference}",
        "TS_MANAGEMENT_ADDRESS": f"http://{HOST}:{ports.management}",
        "TS_METRICS_ADDRESS": f"http://{HOST}:{ports.torchserve_metrics}",
        "TS_GRPC_INFERENCE_PORT": str(ports.grpc_inference),
        "TS_GRPC_MANAGEMENT_PORT": str(ports.grpc_management),
    }


def facade_command() -> list[str]:
    """Return the facade's command."""
    return [sys.executable, "-m", "thale.facade"]


def facade_environment(home: Home, ports: Ports, workers: int) -> dict[str, str]:
    """Return the facade's environment: its settings by name.

    Unless somebody says otherwise, as many images are at work as there are cores, and two at least: one is measured
    while the models look at the next. More would wait in TorchServe, which finishes every question, also those whose
    askers have long gone.
    """
    at_work = max(2, workers, len(os.sched_getaffinity(0)))
    return {
        "THALE_MAX_IN_FLIGHT": str(at_work),
        **os.environ,
        "THALE_HOST": HOST,
        "THALE_PORT": str(ports.facade),
        "THALE_METRICS_HOST": HOST,
        "THALE_METRICS_PORT": str(ports.metrics),
        "THALE_MODEL_URL": f"http://{HOST}:{ports.inference}",
        "THALE_MANAGEMENT_URL": f"http://{HOST}:{ports.management}",
        "THALE_RECORD_PATH": str(home.record),
    }
