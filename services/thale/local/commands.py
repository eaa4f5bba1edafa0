"""Commands and environments of the services of the local platform."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from thale.host.files import write_atomically
from thale.host.interpreter import child_environment, python_command
from thale.local import aot_cache
from thale.local.data_dir import DataDir
from thale.local.ports import HOST, PlatformPorts
from thale.local.process_guard import TMPDIR_PLACEHOLDER
from thale.local.runtime import ModelRuntime
from thale.local.sockets import TorchServeSockets
from thale.local.worker_plan import IN_FLIGHT_VARIABLE, THREADS_VARIABLE, WorkerPlan

# glibc retains the memory of large activations instead of releasing it after each layer: 1.5 to 2.4 times faster
# (ADR 0016).
MALLOC_ENVIRONMENT = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
    "MALLOC_ARENA_MAX": "1",
}

DRAIN_TIMEOUT_S = 10.0
"""Maximum time for requests in flight after Ctrl-C. It is shorter than in a cluster, because a person waits."""

_CREDENTIAL = "THALE_API_KEY"  # `thale.client.API_KEY_VARIABLE`, whose module is slow to import


def torchserve_command(runtime: ModelRuntime, data_dir: DataDir, archives: Sequence[str]) -> list[str]:
    """Return the command of TorchServe, which loads the given archives of the store at its start."""
    log_settings = f"-Dlog4j2.configurationFile={runtime.local_log_settings.as_uri()}"
    return [
        # Netty loads a native library for the sockets, from this folder because /tmp may not permit execution.
        *runtime.java_command(
            TMPDIR_PLACEHOLDER,
            log_settings,
            f"-Dio.netty.native.workdir={data_dir.torchserve}",
            *aot_cache.options(runtime, data_dir),
        ),
        *("--python", str(write_worker_launcher(data_dir))),
        *("-s", str(data_dir.model_store)),
        *(("-m", *archives) if archives else ()),
    ]


def write_worker_launcher(data_dir: DataDir) -> Path:
    """Write the program that TorchServe runs instead of Python to start a worker, and return its path.

    See `thale_models.worker`. On a file system that does not execute programs, return the path of Python.
    """
    launcher = data_dir.torchserve / "worker"
    command = shlex.join(python_command("-u", "-m", "thale_models.worker"))
    program = f'#!/bin/sh\nexec {command} "$@"\n'.encode()
    if not launcher.exists() or launcher.read_bytes() != program:  # a restart needs no space on a full disk
        write_atomically(launcher, program)
    launcher.chmod(0o700)
    return launcher if os.access(launcher, os.X_OK) else Path(python_command()[0])


def torchserve_environment(data_dir: DataDir, sockets: TorchServeSockets, plan: WorkerPlan) -> dict[str, str]:
    """Return the environment of TorchServe: addresses and paths. Other settings are in config.properties."""
    logs = str(data_dir.logs)
    return {
        THREADS_VARIABLE: str(plan.threads),
        **_service_environment(),
        **MALLOC_ENVIRONMENT,
        "LOG_LOCATION": logs,
        "METRICS_LOCATION": logs,
        "THALE_WORKER_CACHE": str(data_dir.path / "openvino"),
        "TS_DEFAULT_WORKERS_PER_MODEL": str(plan.workers),
        "TS_ENABLE_MODEL_API": "true",  # releases load and unload versions, through a private socket
        **sockets.environment(),
    }


def _service_environment() -> dict[str, str]:
    """Return the environment of a service, without the credential of the user's commands."""
    return {name: value for name, value in child_environment().items() if name != _CREDENTIAL}


def facade_command() -> list[str]:
    """Return the command of the facade."""
    return python_command("-m", "thale.facade")


def facade_environment(
    data_dir: DataDir, ports: PlatformPorts, sockets: TorchServeSockets, plan: WorkerPlan
) -> dict[str, str]:
    """Return the environment of the facade: its settings by name.

    Requests beyond the default concurrency limit would wait in TorchServe, which also processes requests of clients
    that have disconnected. The facade requires a credential if the data directory has API
    keys or THALE_KEY_VAULT is set.
    """
    requires_keys = data_dir.api_keys.exists() and "THALE_KEY_VAULT" not in os.environ
    return {
        IN_FLIGHT_VARIABLE: str(plan.max_in_flight),
        "THALE_EXPERIMENTS_PATH": str(data_dir.experiments),
        **({"THALE_API_KEYS_PATH": str(data_dir.api_keys)} if requires_keys else {}),
        **_service_environment(),
        "THALE_DRAIN_TIMEOUT_S": f"{DRAIN_TIMEOUT_S:g}",
        "THALE_HOST": HOST,
        "THALE_PORT": str(ports.facade),
        "THALE_METRICS_HOST": HOST,
        "THALE_METRICS_PORT": str(ports.metrics),
        "THALE_MODEL_URL": sockets.inference,
        "THALE_MANAGEMENT_URL": sockets.management,
        "THALE_MODEL_METRICS_URL": sockets.metrics,
        "THALE_RELEASE_STATE_PATH": str(data_dir.release_state),
        "THALE_CONTROLLER_CHECKPOINT_PATH": str(data_dir.controller_checkpoint),
    }
