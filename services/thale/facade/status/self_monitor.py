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
from thale.facade.status.window_stats import CounterSnapshot, WindowStats
from thale.facade.upstream.release_source import ReleaseSource
from thale.schemas import ReleaseState
from thale.telemetry import metrics
from thale.telemetry.labels import OUTCOME
from thale.telemetry.series_expiry import SeriesExpirer

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 5.0
_WINDOW_S = 300.0


class SelfMonitor:
    """The last minutes' counts, and what was released and ready when last looked. Read from any thread."""

    def __init__(self, health: Health, release_source: ReleaseSource) -> None:
        self._health, self._release_source = health, release_source
        self._series_expirer = SeriesExpirer(metrics.METRICS)
        self._snapshots = deque([CounterSnapshot.take(time.monotonic())], maxlen=round(_WINDOW_S / POLL_INTERVAL_S))
        self.release_state: ReleaseState | None = None
        self.readiness = Readiness()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look every few seconds for as long as the context lasts."""
        polling = asyncio.create_task(self._poll_forever())
        try:
            yield
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    def window_stats(self) -> WindowStats:
        """Return the figures of the last minutes, until now."""
        return WindowStats.between(self._snapshots[0], CounterSnapshot.take(time.monotonic()))

    async def refresh(self) -> None:
        """Look once."""
        try:
            self.release_state = self._release_source.current()
        except ModelUnavailableError:
            self.release_state = None
        else:
            self._sync_series(self.release_state)
        self.readiness = await self._health.readiness()
        self._snapshots.append(CounterSnapshot.take(time.monotonic()))

    def _sync_series(self, release_state: ReleaseState) -> None:
        """Tell about the versions that are held, from 0 on: a counter that begins at 30 shows no rise."""
        self._series_expirer.update({name: model.versions for name, model in release_state.models.items()})
        for name, model in release_state.models.items():
            for version in model.versions:
                for outcome in OUTCOME.values:
                    metrics.MODEL_REQUESTS.labels(name, version, outcome)

    async def _poll_forever(self) -> None:
        while True:
            try:
                await self.refresh()
            # The boundary between looks: what goes wrong in one must not leave the gauges as they are for ever.
            except Exception:
                logger.exception("self-monitoring failed")
            await asyncio.sleep(POLL_INTERVAL_S)
