"""What the facade knows of itself without being asked: looked at every few seconds, kept for some minutes.

So gauges of workers are fresh for whoever reads the metrics, series of versions that are long gone are taken down, and
rates can be told without a Prometheus.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from thale.errors import ModelUnavailableError
from thale.facade.health import Health, Readiness
from thale.facade.status.window_stats import Figures, Moment
from thale.facade.upstream.release_source import Records
from thale.schemas import ReleaseRecord
from thale.telemetry import metrics
from thale.telemetry.labels import OUTCOME
from thale.telemetry.series_expiry import Remembered

logger = logging.getLogger(__name__)

LOOK_S = 5.0
_WINDOW_S = 300.0


class Vitals:
    """The last minutes' counts, and what was released and ready when last looked. Read from any thread."""

    def __init__(self, health: Health, records: Records) -> None:
        self._health, self._records = health, records
        self._remembered = Remembered(metrics.METRICS)
        self._moments = deque([Moment.now(time.monotonic())], maxlen=round(_WINDOW_S / LOOK_S))
        self.record: ReleaseRecord | None = None
        self.readiness = Readiness()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look every few seconds for as long as the context lasts."""
        looking = asyncio.create_task(self._keep_looking())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    def figures(self) -> Figures:
        """Return the figures of the last minutes, until now."""
        return Figures.between(self._moments[0], Moment.now(time.monotonic()))

    async def look(self) -> None:
        """Look once."""
        try:
            self.record = self._records.current()
        except ModelUnavailableError:
            self.record = None
        else:
            self._follow(self.record)
        self.readiness = await self._health.readiness()
        self._moments.append(Moment.now(time.monotonic()))

    def _follow(self, record: ReleaseRecord) -> None:
        """Tell about the versions that are held, from 0 on: a counter that begins at 30 shows no rise."""
        self._remembered.follow({name: model.versions for name, model in record.models.items()})
        for name, model in record.models.items():
            for version in model.versions:
                for outcome in OUTCOME.values:
                    metrics.MODEL_REQUESTS.labels(name, version, outcome)

    async def _keep_looking(self) -> None:
        while True:
            try:
                await self.look()
            # The boundary between looks: what goes wrong in one must not leave the gauges as they are for ever.
            except Exception:
                logger.exception("a look at the own state failed unexpectedly")
            await asyncio.sleep(LOOK_S)
