"""Releases of the platform on a home, found anew each time: it may stop and start on other ports while one watches."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from thale.errors import ActuatorError
from thale.local.data_dir import Home, Running
from thale.release.controller.checkpoint import FileNotes
from thale.release.controller.controller import Place
from thale.release.controller.leader_election import FileLease
from thale.release.controller.metrics_scraper import Facades, Reading
from thale.release.registry.stores import FolderStore
from thale.release.targets import Held
from thale.release.targets.local import LocalActuator
from thale.release.targets.torchserve_client import TorchServe
from thale.schemas import Release, ReleasedVersion
from thale.telemetry.logs import JsonFormatter

AUDIT = logging.getLogger("thale.audit")


@dataclass
class HomeActuator:
    """The actuator of whatever platform runs on a home just now; an ActuatorError where none does."""

    home: Home
    _made: dict[str, LocalActuator] = field(default_factory=dict)
    """By TorchServe's address."""

    def models(self) -> Sequence[str]:
        """Return the names of the models that are released."""
        return self._now().models()

    def read(self, model: str) -> Held:
        """Return a model's release."""
        return self._now().read(model)

    def find(self, model: str, version: str) -> ReleasedVersion:
        """Return a registered version, whether it is held or not."""
        return self._now().find(model, version)

    def apply(self, before: Held, after: Release) -> Held:
        """Make `after` so, and return it as it is held then."""
        return self._now().apply(before, after)

    def close(self) -> None:
        """Wait until what nobody needs is unloaded."""
        for actuator in self._made.values():
            actuator.close()

    def _now(self) -> LocalActuator:
        running = running_on(self.home)
        if running.management_url not in self._made:
            server = TorchServe.at(running.model_url, running.management_url)
            store = FolderStore(self.home.registered)
            self._made[running.management_url] = LocalActuator(self.home.record, store, self.home.model_store, server)
        return self._made[running.management_url]


@dataclass(frozen=True)
class HomeFacades:
    """The facade of whatever platform runs on a home just now."""

    home: Home

    async def read(self) -> Reading:
        """Ask the facade for its counters. Raises nothing."""
        try:
            url = running_on(self.home).metrics_url
        except ActuatorError as error:
            return Reading({}, {str(self.home.folder): str(error)})
        return await Facades([url]).read()


def running_on(home: Home) -> Running:
    """Return the platform that runs on a home.

    Raises:
        ActuatorError: If none does.
    """
    running = home.running()
    if running is None:
        raise ActuatorError(f"no thale runs on {home.folder}: start it with `thale up`")
    return running


@contextmanager
def releases_of(home: Home) -> Iterator[Place]:
    """Give a home's releases. Changes go into its audit log; what they unload is waited for at the end."""
    actuator = HomeActuator(home)
    lease, notes = FileLease(home.folder / "watch.lock"), FileNotes(home.folder / "watch.json")
    with audited(home):
        try:
            yield Place(actuator, HomeFacades(home), lease, notes)
        finally:
            actuator.close()


@contextmanager
def audited(home: Home) -> Iterator[None]:
    """Append every change that this process makes to the home's audit log, one JSON object a line."""
    home.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    keeper = logging.FileHandler(home.logs / "audit.jsonl", encoding="utf-8", delay=True)
    keeper.setFormatter(JsonFormatter())
    AUDIT.addHandler(keeper)
    AUDIT.setLevel(logging.INFO)
    try:
        yield
    finally:
        AUDIT.removeHandler(keeper)
        keeper.close()
