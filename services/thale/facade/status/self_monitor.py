"""Periodic self-monitoring of the facade: workers, release state and counters, over the last minutes.

It refreshes the worker gauges, expires the series of versions that are no longer released, and provides the status page
with rates without Prometheus.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from thale.errors import ModelUnavailableError
from thale.facade.status.health import Health, Readiness
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
    """Counter snapshots of the last minutes, with the release state and readiness of the last poll.

    Any thread may read it.
    """

    def __init__(self, health: Health, release_source: ReleaseSource) -> None:
        self._health, self._release_source = health, release_source
        self._series_expirer = SeriesExpirer(metrics.METRICS)
        self._snapshots = deque([CounterSnapshot.take(time.monotonic())], maxlen=round(_WINDOW_S / POLL_INTERVAL_S))
        self.release_state: ReleaseState | None = None
        self.readiness = Readiness()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Poll every few seconds for the duration of the context."""
        polling = asyncio.create_task(self._poll_forever())
        try:
            yield
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    def window_stats(self) -> WindowStats:
        """Return the statistics from the oldest snapshot until now."""
        return WindowStats.between(self._snapshots[0], CounterSnapshot.take(time.monotonic()))

    async def refresh(self) -> None:
        """Poll once."""
        try:
            self.release_state = self._release_source.current()
        except ModelUnavailableError:
            self.release_state = None
        else:
            self._sync_series(self.release_state)
        self.readiness = await self._health.readiness()
        self._snapshots.append(CounterSnapshot.take(time.monotonic()))

    def _sync_series(self, release_state: ReleaseState) -> None:
        """Expire removed versions, and initialise the counters of loaded ones to 0 so that rate() sees increments."""
        self._series_expirer.update({name: model.versions for name, model in release_state.models.items()})
        for name, model in release_state.models.items():
            for version in model.versions:
                for outcome in OUTCOME.values:
                    metrics.MODEL_REQUESTS.labels(name, version, outcome)

    async def _poll_forever(self) -> None:
        while True:
            try:
                await self.refresh()
            # The isolation boundary between polls: after an error in one, the next one still refreshes the gauges.
            except Exception:
                logger.exception("self-monitoring failed")
            await asyncio.sleep(POLL_INTERVAL_S)
