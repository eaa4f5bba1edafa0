"""How the two services are started on a laptop: their commands and their environments."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from thale.local import aot_cache
from thale.local.data_dir import DataDir
from thale.local.ports import HOST, Ports
from thale.local.process_guard import TMPDIR_PLACEHOLDER
from thale.local.runtime import ModelRuntime

# glibc keeps big activations in memory instead of giving them back after each layer: 1.5 to 2.4 times faster.
_MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
    "MALLOC_ARENA_MAX": "1",
}


def torchserve_command(runtime: ModelRuntime, data_dir: DataDir, archives: Sequence[str]) -> list[str]:
    """Return TorchServe's command, which loads these archives of the store."""
    return [
        *runtime.java_command(TMPDIR_PLACEHOLDER, *aot_cache.options(runtime, data_dir)),
        *("--python", str(write_worker_launcher(data_dir))),
        *("-s", str(data_dir.model_store)),
        *(("-m", *archives) if archives else ()),
    ]


def write_worker_launcher(data_dir: DataDir) -> Path:
    """Write the program that TorchServe takes for Python when it starts a worker, and return it.

    See `thale_models.worker`. Where the home's file system runs no programs, it is Python itself.
    """
    launcher = data_dir.torchserve / "worker"
    command = shlex.join([sys.executable, "-u", "-P", "-m", "thale_models.worker"])
    launcher.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    launcher.chmod(0o700)
    return launcher if os.access(launcher, os.X_OK) else Path(sys.executable)


def torchserve_environment(data_dir: DataDir, ports: Ports, workers: int) -> dict[str, str]:
    """Return TorchServe's environment: where it listens and writes. All else stands in config.properties."""
    logs = str(data_dir.logs)
    return {
        **os.environ,
        **_MALLOC,
        "LOG_LOCATION": logs,
        "METRICS_LOCATION": logs,
        "THALE_WORKER_CACHE": str(data_dir.path / "openvino"),
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


def facade_environment(data_dir: DataDir, ports: Ports, workers: int) -> dict[str, str]:
    """Return the facade's environment: its settings by name.

    Unless somebody says otherwise, as many images are at work as there are cores, and two at least: one is measured
    while the models look at the next. More would wait in TorchServe, which finishes every question, also those whose
    askers have long gone.
    """
    max_in_flight = max(2, workers, len(os.sched_getaffinity(0)))
    return {
        "THALE_MAX_IN_FLIGHT": str(max_in_flight),
        **os.environ,
        "THALE_HOST": HOST,
        "THALE_PORT": str(ports.facade),
        "THALE_METRICS_HOST": HOST,
        "THALE_METRICS_PORT": str(ports.metrics),
        "THALE_MODEL_URL": f"http://{HOST}:{ports.inference}",
        "THALE_MANAGEMENT_URL": f"http://{HOST}:{ports.management}",
        "THALE_RELEASE_STATE_PATH": str(data_dir.release_state),
    }
