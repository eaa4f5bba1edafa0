"""A TorchServe for one archive alone, to see what its model answers before anybody relies on it."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thale.errors import ActuatorError, LaptopError, RegistrationError
from thale.local.commands import torchserve_command, torchserve_environment
from thale.local.data_dir import Home
from thale.local.ports import HOST, Ports, choose_ports
from thale.local.runtime import find_installed
from thale.local.supervised_service import Service, tail
from thale.release.registry.archive_validation import CheckedArchive
from thale.release.targets.torchserve_client import TorchServe

START_LIMIT_S = 240.0
"""From nothing to a ready worker: 5 s on an idle machine, minutes on an overloaded one."""

_LOOK_AGAIN_S = 0.1
_WORKERS_LOG = "model_log.log"  # what the workers say: TorchServe names it so


@contextmanager
def model_server(archive: CheckedArchive) -> Iterator[str]:
    """Serve one archive in a temporary folder, on free ports of this machine, for as long as the context lasts.

    The real thing: the same TorchServe, settings and handlers as on the laptop and in the cluster. Nothing of it
    outlives this process.

    Returns:
        The address of its inference API.

    Raises:
        RegistrationError: If the model's worker does not start; with the last lines of its log.
        LaptopError: If the model server itself cannot start here.
    """
    installed = find_installed()
    with tempfile.TemporaryDirectory(prefix="thale-register-", ignore_cleanup_errors=True) as room:
        home = Home(Path(room))
        with home.hold():
            name = f"{archive.card.name}-{archive.card.version}.mar"
            shutil.copyfile(archive.path, home.model_store / name)
            ports = choose_ports(0)
            service = Service(
                name="TorchServe",
                command=lambda: torchserve_command(installed, home, []),
                environment=torchserve_environment(home, ports, workers=1),
                folder=home.torchserve,
                log=home.logs / "torchserve.log",
                say=lambda line: None,
            )
            service.start()
            try:
                _load(archive, name, service, ports, home.logs / _WORKERS_LOG)
                yield f"http://{HOST}:{ports.inference}"
            finally:
                service.stop()


def _load(archive: CheckedArchive, name: str, service: Service, ports: Ports, workers_log: Path) -> None:
    """Have the model loaded as soon as TorchServe is there to be told: so it tells at once when a worker fails."""
    card = archive.card
    server = TorchServe.at(f"http://{HOST}:{ports.inference}", f"http://{HOST}:{ports.management}")
    until = time.monotonic() + START_LIMIT_S
    while not _is_up(server, card.name):
        if not service.running or time.monotonic() > until:
            raise LaptopError(f"TorchServe does not start. {tail(service.log)}")
        time.sleep(_LOOK_AGAIN_S)
    try:
        server.load(card.name, card.version, name, START_LIMIT_S)
    except ActuatorError as error:
        raise RegistrationError(
            f"the worker of {card.name} {card.version} does not start, so it cannot be released ({error}).\n"
            f"{tail(workers_log)}"
        ) from error


def _is_up(server: TorchServe, model: str) -> bool:
    try:
        server.versions(model)
    except ActuatorError:
        return False
    return True
