"""Temporary TorchServe with one archive, for the acceptance checks of a registration."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thale.errors import LocalPlatformError, RegistrationError, TargetError
from thale.local.commands import torchserve_command, torchserve_environment
from thale.local.data_dir import DataDir
from thale.local.runtime import find_runtime
from thale.local.sockets import TorchServeSockets, create_sockets
from thale.local.supervised_service import Service, tail
from thale.local.worker_plan import plan_workers
from thale.release.registry.archive_validation import ValidatedArchive
from thale.release.targets.torchserve_client import TorchServeClient

START_TIMEOUT_S = 240.0
"""Maximum time to a ready worker. It takes 5 s on an idle machine, and minutes on an overloaded one."""

_POLL_INTERVAL_S = 0.1
_WORKERS_LOG = "model_log.log"  # TorchServe's name for the log of its workers


@contextmanager
def run_ephemeral_torchserve(archive: ValidatedArchive) -> Iterator[str]:
    """Serve one archive from a temporary folder, on sockets of this user, until the context ends.

    TorchServe, settings and handlers are the same as on the local platform and in the cluster. The end of the
    context removes the folder. TorchServe also ends when this process is killed.

    Yields:
        The address of the inference API.

    Raises:
        RegistrationError: If the worker of the model does not start. The message contains the last lines of its log.
        LocalPlatformError: If TorchServe cannot start on this machine.
    """
    runtime = find_runtime()
    with tempfile.TemporaryDirectory(prefix="thale-register-", ignore_cleanup_errors=True) as temp_dir:
        data_dir = DataDir(Path(temp_dir))
        with data_dir.lock(), create_sockets(data_dir.path) as sockets:
            name = f"{archive.card.name}-{archive.card.version}.mar"
            shutil.copyfile(archive.path, data_dir.model_store / name)
            service = Service(
                name="TorchServe",
                command=lambda: torchserve_command(runtime, data_dir, []),
                environment=torchserve_environment(data_dir, sockets, plan_workers(1)),
                folder=data_dir.torchserve,
                log=data_dir.logs / "torchserve.log",
                notify=lambda line: None,
            )
            service.start()
            try:
                _load_model(archive, name, service, sockets, data_dir.logs / _WORKERS_LOG)
                yield sockets.inference
            finally:
                service.stop()


def _load_model(
    archive: ValidatedArchive, name: str, service: Service, sockets: TorchServeSockets, workers_log: Path
) -> None:
    """Load the model through the management API, which reports a failed worker immediately."""
    card = archive.card
    server = TorchServeClient.from_urls(sockets.inference, sockets.management)
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _is_reachable(server, card.name):
        if not service.is_running or time.monotonic() > deadline:
            raise LocalPlatformError(f"TorchServe does not start. {tail(service.log)}")
        time.sleep(_POLL_INTERVAL_S)
    try:
        server.load(card.name, card.version, name, START_TIMEOUT_S)
    except TargetError as error:
        raise RegistrationError(
            f"the worker of {card.name} {card.version} does not start, so it cannot be registered ({error}).\n"
            f"{tail(workers_log)}"
        ) from error


def _is_reachable(server: TorchServeClient, model: str) -> bool:
    try:
        server.versions(model)
    except TargetError:
        return False
    return True
