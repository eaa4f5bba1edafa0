"""Who is ready? The state of the models' workers, since the model server calls itself healthy while none can start."""

import asyncio
import time
from dataclasses import dataclass, field

from thale.errors import ModelUnavailableError
from thale.facade.upstream.model_client import ModelClient
from thale.facade.upstream.release_source import Records
from thale.schemas import Card, ModelInfo, ModelVersion, Release, ReleaseRecord
from thale.telemetry import metrics

_FRESH_S = 1.0
_FRESH_WHILE_NOT_READY_S = 0.2
"""Whoever waits for the start should not wait for a second more than the start takes."""


@dataclass(frozen=True)
class Readiness:
    """Ready workers of each released version (None where the model server does not know it), when last looked."""

    workers: dict[tuple[str, str], int | None] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    """What keeps the whole from being ready, one sentence each."""

    @property
    def ready(self) -> bool:
        """Whether every model has a worker for the version that answers by default."""
        return not self.missing

    def version_ready(self, name: str, version: str) -> bool:
        """Whether a version has a worker."""
        return bool(self.workers.get((name, version)))


class Health:
    """Asks the model server about its workers: until ready five times a second at most, then once, whoever asks us."""

    def __init__(self, models: ModelClient, records: Records) -> None:
        self._models = models
        self._records = records
        self._last = Readiness()
        self._fresh_until = 0.0
        self._looking = asyncio.Lock()
        self._told: set[tuple[str, str]] = set()

    async def readiness(self) -> Readiness:
        """Return the state of all workers, a second old at most."""
        async with self._looking:
            if time.monotonic() >= self._fresh_until:
                self._last = await self._look()
                fresh_s = _FRESH_S if self._last.ready else _FRESH_WHILE_NOT_READY_S
                self._fresh_until = time.monotonic() + fresh_s
        return self._last

    async def _look(self) -> Readiness:
        try:
            record = self._records.current()
        except ModelUnavailableError as error:
            return Readiness(missing=(str(error),))
        urls = {
            (name, version): released.url
            for name, model in record.models.items()
            for version, released in model.versions.items()
        }
        counts = await asyncio.gather(*(self._models.ready_workers(*version, url) for version, url in urls.items()))
        workers = dict(zip(urls, counts, strict=True))
        for gone in self._told - urls.keys():
            metrics.MODEL_WORKERS.remove_by_labels(dict(zip(("model", "version"), gone, strict=True)))
        self._told = {*urls}
        missing = [
            f"{name} {model.stable} has no worker that is ready"
            for name, model in record.models.items()
            if not workers[name, model.stable]
        ]
        if not record.models:
            missing.append("no model is released")
        return Readiness(workers, tuple(missing))


def describe(record: ReleaseRecord, readiness: Readiness) -> list[ModelInfo]:
    """Return every released model with its versions, their state and their share of the traffic."""
    return [describe_model(name, model, readiness) for name, model in sorted(record.models.items())]


def describe_model(name: str, model: Release, readiness: Readiness) -> ModelInfo:
    """Return one model with its versions."""
    shares = {model.stable: 100.0 - model.weight_percent, model.canary: model.weight_percent}

    def version_info(version: str, digest: str, card: Card) -> ModelVersion:
        count = readiness.workers.get((name, version))
        return ModelVersion(
            version=version,
            state="ready" if count else "unavailable" if count is None else "loading",
            default=version == model.stable,
            canary=version == model.canary,
            traffic_percent=shares.get(version, 0.0),
            digest=digest,
            card=card,
        )

    versions = (version_info(version, told.digest, told.card) for version, told in model.versions.items())
    return ModelInfo(name=name, task=model.task, versions=tuple(versions))
