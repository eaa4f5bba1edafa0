"""Reconciler of the local platform: loads released versions that TorchServe lacks (ADR 0073).

TorchServe restarts a crashed worker, and the supervisor restarts TorchServe. Neither restores a version that an
operator or a fault has unloaded, or whose workers were scaled down. The reconciler compares TorchServe with the release
state and restores the difference. It unloads nothing, and holds the loading lock, so it does not interfere with
`thale release`.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from thale.errors import LocalPlatformError, TargetError
from thale.local import serving_store
from thale.local.data_dir import DataDir
from thale.release.targets.loading_lock import try_loading_lock
from thale.release.targets.torchserve_client import LoadedVersion, TorchServeClient
from thale.schemas import Release, ReleaseState

logger = logging.getLogger(__name__)

INTERVAL_S = 2.0
"""Interval of the comparisons. Each takes one request for each model, about 1 ms of CPU time."""

_LOAD_TIMEOUT_S = 240.0  # TorchServe's own limit for the start of a worker is 180 s
_MAX_BACKOFF_S = 60.0


@dataclass
class Reconciler:
    """Restores the loaded versions of one TorchServe."""

    data_dir: DataDir
    server: TorchServeClient
    workers: int
    """Workers of each version."""
    notify: Callable[[str], None]
    """Receives one line for each restored version."""
    interval_s: float = INTERVAL_S
    _failures: dict[str, int] = field(default_factory=dict)
    """Consecutive failures by model."""
    _next_attempt_s: dict[str, float] = field(default_factory=dict)

    def run(self, stopping: threading.Event) -> None:
        """Reconcile periodically until the event is set."""
        while not stopping.wait(self.interval_s):
            self.reconcile()

    def reconcile(self) -> None:
        """Restore the versions of all models. A failure is logged, and that model is tried again later."""
        for model, release in self._read_releases().items():
            if time.monotonic() < self._next_attempt_s.get(model, 0.0):
                continue
            try:
                if self._find_missing(release):
                    self._restore_missing(model)
            except (TargetError, LocalPlatformError, OSError) as error:
                self._back_off(model, error)
            else:
                self._failures.pop(model, None)

    def _restore_missing(self, model: str) -> None:
        with try_loading_lock(self.data_dir.release_state, model) as is_held:
            if not is_held:
                return  # a release command loads or unloads versions of this model
            release = self._read_releases().get(model)  # again: a command may have changed it
            if release is None:
                return
            missing = self._find_missing(release)
            for version, loaded in missing.items():
                self._restore(model, version, loaded)
            if release.stable in missing:
                self.server.set_default(model, release.stable)

    def _find_missing(self, release: Release) -> Mapping[str, LoadedVersion | None]:
        """Return the released versions that are not loaded (None) or have too few workers."""
        loaded = self.server.versions(release.name)
        found = {version: loaded.get(version) for version in release.versions}
        return {
            version: description
            for version, description in found.items()
            if description is None or description.min_workers < self.workers
        }

    def _restore(self, model: str, version: str, loaded: LoadedVersion | None) -> None:
        fault = "is not loaded" if loaded is None else f"has {loaded.min_workers} of {self.workers} workers"
        self.notify(f"{model} {version} {fault} in TorchServe: restoring it")
        started = time.monotonic()
        if loaded is None:
            archive = serving_store.locate_archives(self.data_dir).get((model, version))
            if archive is None:
                raise LocalPlatformError(
                    f"{model} {version} is released, but its archive is missing: register it again"
                )
            self.server.load(model, version, archive, _LOAD_TIMEOUT_S)
        else:
            self.server.scale(model, version, self.workers, _LOAD_TIMEOUT_S)
        seconds = round(time.monotonic() - started, 2)
        self.notify(f"{model} {version} serves again after {seconds:g} s")
        logger.warning("version restored", extra={"model": model, "version": version, "seconds": seconds})

    def _read_releases(self) -> Mapping[str, Release]:
        """Return the releases, or none while the release state cannot be read. The facade logs the reason."""
        try:
            return ReleaseState.model_validate_json(self.data_dir.release_state.read_bytes()).models
        except (OSError, ValidationError):
            return {}

    def _back_off(self, model: str, error: Exception) -> None:
        failures = self._failures[model] = self._failures.get(model, 0) + 1
        self._next_attempt_s[model] = time.monotonic() + min(self.interval_s * 2 ** (failures - 1), _MAX_BACKOFF_S)
        # While TorchServe starts or restarts, it does not respond: the supervisor reports that.
        logger.info("model not reconciled", extra={"model": model, "error": str(error)})
