"""Releases of the platform on a home, found anew each time: it may stop and start on other ports while one watches."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from thale.errors import TargetError
from thale.local.data_dir import DataDir, RunningPlatform
from thale.release.controller.checkpoint import FileCheckpointStore
from thale.release.controller.controller import ReleaseEnvironment
from thale.release.controller.leader_election import FileLease
from thale.release.controller.metrics_scraper import MetricsScraper, ScrapeResult
from thale.release.registry.stores import FolderStore
from thale.release.targets import VersionedRelease
from thale.release.targets.local import LocalTarget
from thale.release.targets.torchserve_client import TorchServeClient
from thale.schemas import Release, VersionManifest
from thale.telemetry.logs import JsonFormatter

AUDIT_LOGGER = logging.getLogger("thale.audit")


@dataclass
class LocalPlatformTarget:
    """The actuator of whatever platform runs on a home just now; an ActuatorError where none does."""

    data_dir: DataDir
    _targets: dict[str, LocalTarget] = field(default_factory=dict)
    """By TorchServe's address."""

    def models(self) -> Sequence[str]:
        """Return the names of the models that are released."""
        return self._current_target().models()

    def read(self, model: str) -> VersionedRelease:
        """Return a model's release."""
        return self._current_target().read(model)

    def find(self, model: str, version: str) -> VersionManifest:
        """Return a registered version, whether it is held or not."""
        return self._current_target().find(model, version)

    def apply(self, before: VersionedRelease, after: Release) -> VersionedRelease:
        """Make `after` so, and return it as it is held then."""
        return self._current_target().apply(before, after)

    def close(self) -> None:
        """Wait until what nobody needs is unloaded."""
        for target in self._targets.values():
            target.close()

    def _current_target(self) -> LocalTarget:
        running = running_platform(self.data_dir)
        if running.management_url not in self._targets:
            server = TorchServeClient.from_urls(running.model_url, running.management_url)
            store = FolderStore(self.data_dir.registry)
            self._targets[running.management_url] = LocalTarget(
                self.data_dir.release_state, store, self.data_dir.model_store, server
            )
        return self._targets[running.management_url]


@dataclass(frozen=True)
class LocalMetricsSource:
    """The facade of whatever platform runs on a home just now."""

    data_dir: DataDir

    async def read(self) -> ScrapeResult:
        """Ask the facade for its counters. Raises nothing."""
        try:
            url = running_platform(self.data_dir).metrics_url
        except TargetError as error:
            return ScrapeResult({}, {str(self.data_dir.path): str(error)})
        return await MetricsScraper([url]).read()


def running_platform(data_dir: DataDir) -> RunningPlatform:
    """Return the platform that runs on a home.

    Raises:
        TargetError: If none does.
    """
    running = data_dir.find_running_platform()
    if running is None:
        raise TargetError(f"no thale runs on {data_dir.path}: start it with `thale up`")
    return running


@contextmanager
def local_environment(data_dir: DataDir) -> Iterator[ReleaseEnvironment]:
    """Give a home's releases. Changes go into its audit log; what they unload is waited for at the end."""
    target = LocalPlatformTarget(data_dir)
    lease, checkpoint_store = (
        FileLease(data_dir.path / "controller.lock"),
        FileCheckpointStore(data_dir.path / "controller-checkpoint.json"),
    )
    with audit_log(data_dir):
        try:
            yield ReleaseEnvironment(target, LocalMetricsSource(data_dir), lease, checkpoint_store)
        finally:
            target.close()


@contextmanager
def audit_log(data_dir: DataDir) -> Iterator[None]:
    """Append every change that this process makes to the home's audit log, one JSON object a line."""
    data_dir.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    handler = logging.FileHandler(data_dir.logs / "audit.jsonl", encoding="utf-8", delay=True)
    handler.setFormatter(JsonFormatter())
    AUDIT_LOGGER.addHandler(handler)
    AUDIT_LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        AUDIT_LOGGER.removeHandler(handler)
        handler.close()
