"""Release environment of the local platform.

Each access locates the running platform again, because it can restart with other addresses.
"""

import contextlib
import logging
import sys
from collections.abc import Collection, Iterator, Sequence
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
    """Release target of the running local platform. Raises TargetError if none is running."""

    data_dir: DataDir
    _targets: dict[str, LocalTarget] = field(default_factory=dict)
    """Targets by the address of TorchServe's management API."""

    def models(self) -> Sequence[str]:
        """Return the names of the released models."""
        return self._current_target().models()

    def read(self, model: str) -> VersionedRelease:
        """Return the release of a model."""
        return self._current_target().read(model)

    def find(self, model: str, version: str) -> VersionManifest:
        """Return a registered version, loaded or not."""
        return self._current_target().find(model, version)

    def unused(self, model: str) -> Sequence[str]:
        """Return the loaded versions that the release does not contain."""
        return self._current_target().unused(model)

    def drop(self, model: str, versions: Collection[str]) -> None:
        """Unload these versions, except versions that the release contains."""
        self._current_target().drop(model, versions)

    def apply(self, before: VersionedRelease, after: Release) -> VersionedRelease:
        """Apply the release `after`, and return it with its new revision."""
        return self._current_target().apply(before, after)

    def close(self) -> None:
        """Wait until unused versions are unloaded."""
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
    """Metrics source of the running local platform: its facade."""

    data_dir: DataDir

    async def read(self) -> ScrapeResult:
        """Scrape the counters of the facade. Never raises; failures are in the result."""
        try:
            url = running_platform(self.data_dir).metrics_url
        except TargetError as error:
            return ScrapeResult({}, {str(self.data_dir.path): str(error)})
        return await MetricsScraper([url]).read()


def running_platform(data_dir: DataDir) -> RunningPlatform:
    """Return the running platform of a data directory.

    Raises:
        TargetError: If no platform is running.
    """
    running = data_dir.find_running_platform()
    if running is None:
        raise TargetError(f"no local platform is running in {data_dir.path}: start it with `thale up`")
    return running


@contextmanager
def local_environment(data_dir: DataDir) -> Iterator[ReleaseEnvironment]:
    """Yield the release environment of a data directory. Its audit log records each change.

    The end of the context waits until unused versions are unloaded.
    """
    target = LocalPlatformTarget(data_dir)
    lease, checkpoint_store = (
        FileLease(data_dir.path / "controller.lock"),
        FileCheckpointStore(data_dir.controller_checkpoint),
    )
    with audit_log(data_dir):
        try:
            yield ReleaseEnvironment(target, LocalMetricsSource(data_dir), lease, checkpoint_store)
        finally:
            target.close()


class _AuditLogHandler(logging.FileHandler):
    """Audit log that reports a failure to write as one sentence. The release has already changed."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Report the current exception on standard error."""
        sys.stderr.write(f"the release change is not in {self.baseFilename}: {sys.exception()}\n")

    def close(self) -> None:
        """Close the file. The failure to write its rest has been reported."""
        with contextlib.suppress(OSError):
            super().close()


@contextmanager
def audit_log(data_dir: DataDir) -> Iterator[None]:
    """Append each release change of this process to the audit log, one JSON object per line."""
    data_dir.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    handler = _AuditLogHandler(data_dir.logs / "audit.jsonl", encoding="utf-8", delay=True)
    handler.setFormatter(JsonFormatter())
    AUDIT_LOGGER.addHandler(handler)
    AUDIT_LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        AUDIT_LOGGER.removeHandler(handler)
        handler.close()
