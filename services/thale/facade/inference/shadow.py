"""Shadows: versions that are asked what users asked, after the users have their answers, and whose answers nobody gets.

The copies wait in a short queue. They are the first to go under load: a copy is dropped where users fill more than
half of the places, or where the queue is full by number or by bytes. A shadow may be a canary that users wait for as
well, so it is kept busy for a part of its time alone.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanContext

from thale.errors import DeadlineExceededError, ThaleError
from thale.facade.deadline import Deadline
from thale.facade.inference import output_metrics
from thale.facade.inference.fallback import classify_error
from thale.facade.inference.shadow_samples import ShadowSampleStore
from thale.facade.postprocess import tasks
from thale.facade.postprocess.types import PhenotypeTask, ShadowPair
from thale.facade.postprocess.worker_pool import WorkerPool
from thale.facade.settings import Settings
from thale.facade.upstream.model_client import ModelClient, PredictRequest
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.routing import Route
from thale.monitoring.plate_statistics import PlateStatistics
from thale.telemetry import metrics, tracing

logger = logging.getLogger(__name__)

_NICENESS = 5  # a comparison gets a third of the processor time that a measurement beside it gets


@dataclass(frozen=True)
class ShadowRequest:
    """A question that the stable version answered, for its shadow, and what the user's phenotype was made of."""

    shadow: Route
    request: PredictRequest
    stable: ModelResponse
    other_task: ModelResponse
    """The other model's answer."""
    task: PhenotypeTask
    statistics: PlateStatistics
    parent_span: SpanContext = INVALID_SPAN_CONTEXT
    """The span of the request that was copied."""

    @property
    def size_bytes(self) -> int:
        """Bytes that it holds in memory."""
        return len(self.request.image) + len(self.stable.data) + len(self.other_task.data)


class ShadowMirror:
    """Asks shadows, a few at a time, and compares."""

    def __init__(self, models: ModelClient, settings: Settings, has_spare_capacity: Callable[[], bool]) -> None:
        """`has_spare_capacity` returns whether users leave room for copies."""
        self._models = models
        self._settings = settings
        self._has_spare_capacity = has_spare_capacity
        self._queue: asyncio.Queue[ShadowRequest] = asyncio.Queue(settings.shadow_queue)
        self._buffered_bytes = 0
        self._sample_store = (
            ShadowSampleStore(settings.shadow_samples_path, settings.shadow_samples_per_version)
            if settings.shadow_samples_path
            else None
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask shadows for as long as the context lasts; what is under way or waits then is dropped."""
        pool = WorkerPool(1, niceness=_NICENESS)  # its process starts with the first comparison
        tasks = [asyncio.create_task(self._run_worker(pool)) for _ in range(self._settings.shadow_concurrency)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            pool.close()

    async def enqueue(self, shadow_requests: Iterable[ShadowRequest]) -> None:
        """Take copies in, or drop them. Never waits."""
        for shadow_request in shadow_requests:
            fits_queue = (
                self._buffered_bytes + shadow_request.size_bytes <= self._settings.shadow_queue_bytes
                and not self._queue.full()
            )
            if fits_queue and self._has_spare_capacity():
                self._buffered_bytes += shadow_request.size_bytes
                self._queue.put_nowait(shadow_request)
            else:
                _record_outcome(shadow_request.shadow, "dropped")

    async def _run_worker(self, pool: WorkerPool) -> None:
        idle_per_busy = 1 / self._settings.shadow_duty_cycle - 1
        while True:
            shadow_request = await self._queue.get()
            started = time.monotonic()
            try:
                _record_outcome(shadow_request.shadow, await self._process(shadow_request, pool))
            # The boundary between copies: whatever one of them breaks, the next is asked, and no user hears of it.
            except Exception:
                logger.exception("shadow request failed unexpectedly")
                _record_outcome(shadow_request.shadow, "invalid_response")
            finally:
                self._buffered_bytes -= shadow_request.size_bytes
            await asyncio.sleep((time.monotonic() - started) * idle_per_busy)

    async def _process(self, shadow_request: ShadowRequest, pool: WorkerPool) -> str:
        """Ask and compare. Returns the outcome."""
        if not self._has_spare_capacity():
            return "dropped"
        with tracing.span(
            "thale.shadow", shadow_request.shadow.span_attributes(), links=tracing.links(shadow_request.parent_span)
        ):
            return await self._predict_and_compare(shadow_request, pool)

    async def _predict_and_compare(self, shadow_request: ShadowRequest, pool: WorkerPool) -> str:
        try:
            deadline = Deadline.after(self._settings.shadow_timeout_s)
            response = await self._models.predict(shadow_request.shadow, shadow_request.request, deadline, retry=False)
            pair = ShadowPair(
                shadow_request.stable,
                response,
                shadow_request.other_task,
                shadow_request.task,
                shadow_request.statistics,
            )
            return await self._compare(shadow_request, pair, pool)
        except ThaleError as error:
            outcome = classify_error(error)
            fields = {
                "model": shadow_request.shadow.name,
                "version": shadow_request.shadow.version,
                "error": str(error),
            }
            logger.info("shadow request failed", extra=fields)
            return "invalid_response" if outcome == "rejected" else outcome  # the stable version could read the image

    async def _compare(self, shadow_request: ShadowRequest, pair: ShadowPair, pool: WorkerPool) -> str:
        try:
            difference = await pool.run(Deadline.after(self._settings.shadow_timeout_s), tasks.compare_shadow, pair)
        except DeadlineExceededError:
            return "dropped"  # users left no processor time for the comparison; the shadow was in time
        output_metrics.record_shadow_difference(difference, shadow_request.shadow)
        if self._sample_store is not None:
            try:
                await asyncio.to_thread(self._sample_store.save, shadow_request.request.image, pair, difference)
            except OSError as error:
                logger.error("shadow sample not saved", extra={"error": str(error)})
        return "ok"


def _record_outcome(shadow: Route, outcome: str) -> None:
    metrics.SHADOW_REQUESTS.labels(shadow.name, shadow.version, outcome).inc()
