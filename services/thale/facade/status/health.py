"""Readiness of the facade: ready workers of the stable versions, a working request path, and known credentials.

TorchServe's own health check passes even if no worker can start. If models may be scaled to zero, the facade is ready
without a worker: only a request that reaches it starts a replica (docs/adr/0109-scale-to-zero-by-waiting-requests.md).
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field, replace

from thale.auth.authenticator import Authenticator
from thale.errors import ModelUnavailableError
from thale.facade.status.request_path_probe import RequestPathProbe
from thale.facade.upstream.model_client import ModelClient
from thale.facade.upstream.release_source import ReleaseSource
from thale.facade.upstream.routing import Route
from thale.schemas import ModelCard, ModelInfo, ModelVersion, Release, ReleaseState, version_numbers
from thale.telemetry import metrics

logger = logging.getLogger(__name__)

NO_RELEASE_STATE = "the release state cannot be read"
NO_RELEASED_MODEL = "no model is released"
NO_WORKER = "a stable model has no ready worker"
FAILING_PATH = "the request path fails"
NO_CREDENTIALS = "no source of credentials can be read"

_CACHE_S = 1.0
_CACHE_WHILE_NOT_READY_S = 0.2
"""Shorter, so that a client that waits for the start does not wait one more second."""


@dataclass(frozen=True)
class Readiness:
    """Ready workers of each released version at the last poll. None if the model server does not know the version."""

    workers: dict[tuple[str, str], int | None] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    """The reasons why the facade is not ready, one sentence each. They may name versions and internal addresses."""
    public_reasons: tuple[str, ...] = ()
    """The kinds of these reasons, for clients without a credential."""

    @property
    def is_ready(self) -> bool:
        """True if each stable version has a ready worker, the request path works, and credentials can be verified.

        Stable versions need no worker if models may be scaled to zero.
        """
        return not self.missing

    def is_version_ready(self, name: str, version: str) -> bool:
        """Return True if a version has a ready worker."""
        return bool(self.workers.get((name, version)))


class Health:
    """Polls the model server's workers, and caches the readiness: for 1 s if it is ready, else for 0.2 s."""

    def __init__(
        self,
        models: ModelClient,
        release_source: ReleaseSource,
        probe: RequestPathProbe,
        authenticator: Authenticator | None,
        *,
        scale_to_zero: bool = False,
    ) -> None:
        self._authenticator = authenticator
        self._probe = probe
        self._scale_to_zero = scale_to_zero
        self._models = models
        self._release_source = release_source
        self._cached_readiness = Readiness()
        self._cached_until = 0.0
        self._lock = asyncio.Lock()
        self._reported: set[tuple[str, str]] = set()

    async def readiness(self) -> Readiness:
        """Return the state of the workers, the request path and the credentials, at most one second old."""
        async with self._lock:
            if time.monotonic() >= self._cached_until:
                polled = await self._poll_workers()
                await self._probe.wait_for_first()
                self._cached_readiness = self._add_failures(polled)
                cache_s = _CACHE_S if self._cached_readiness.is_ready else _CACHE_WHILE_NOT_READY_S
                self._cached_until = time.monotonic() + cache_s
        return self._cached_readiness

    def is_live(self) -> bool:
        """Return False if only a restart of this process helps."""
        return self._probe.is_recoverable()

    def _add_failures(self, polled: Readiness) -> Readiness:
        """Return the readiness with the failures of the request path and of the credentials. Log a change."""
        missing, public = [*polled.missing], [*polled.public_reasons]
        if failures := self._probe.failures():
            missing += failures
            public.append(FAILING_PATH)
        if self._authenticator is not None and not self._authenticator.is_available():
            missing.append(f"{NO_CREDENTIALS}; the log has the reason ('credentials unavailable')")
            public.append(NO_CREDENTIALS)
        if missing and tuple(missing) != self._cached_readiness.missing:
            logger.warning("facade not ready", extra={"error": "; ".join(missing)})
        return replace(polled, missing=tuple(missing), public_reasons=tuple(public))

    async def _poll_workers(self) -> Readiness:
        try:
            release_state = self._release_source.current()
        except ModelUnavailableError as error:
            return Readiness(missing=(str(error),), public_reasons=(NO_RELEASE_STATE,))
        urls = {
            (name, version): released.url
            for name, model in release_state.models.items()
            for version, released in model.versions.items()
        }
        counts = await asyncio.gather(
            *(self._models.count_ready_workers(*version, url) for version, url in urls.items())
        )
        workers = dict(zip(urls, counts, strict=True))
        for removed_key in self._reported - urls.keys():
            metrics.MODEL_WORKERS.remove_by_labels(dict(zip(("model", "version"), removed_key, strict=True)))
        self._reported = {*urls}
        missing = [
            f"{name} {model.stable} has no ready worker"
            for name, model in release_state.models.items()
            if not workers[name, model.stable] and not self._scale_to_zero
        ]
        self._probe.stable_routes = [
            Route.from_manifest(model.versions[model.stable])
            for name, model in release_state.models.items()
            if workers[name, model.stable]
        ]
        public_reasons = (NO_WORKER,) if missing else ()
        if not release_state.models:
            missing, public_reasons = [NO_RELEASED_MODEL], (NO_RELEASED_MODEL,)
        return Readiness(workers, tuple(missing), public_reasons)


def model_infos(release_state: ReleaseState, readiness: Readiness) -> list[ModelInfo]:
    """Return every released model with the state and the weight of its versions."""
    return [model_info(name, model, readiness) for name, model in sorted(release_state.models.items())]


def model_info(name: str, model: Release, readiness: Readiness) -> ModelInfo:
    """Return one model with its versions in ascending order."""
    traffic_percents = {model.stable: 100.0 - model.weight_percent, model.canary: model.weight_percent}

    def version_info(version: str, digest: str, card: ModelCard) -> ModelVersion:
        count = readiness.workers.get((name, version))
        return ModelVersion(
            version=version,
            state="ready" if count else "unavailable" if count is None else "loading",
            default=version == model.stable,
            canary=version == model.canary,
            traffic_percent=traffic_percents.get(version, 0.0),
            digest=digest,
            card=card,
        )

    versions = (
        version_info(version, model.versions[version].digest, model.versions[version].card)
        for version in sorted(model.versions, key=version_numbers)
    )
    return ModelInfo(name=name, task=model.task, versions=tuple(versions))
