"""Shadow traffic: sends copies of requests to a shadow version and compares the results (ADR 0014).

A copy is sent after the client's response, and no client receives its result. Shadow requests wait in a short queue and
have the lowest priority. A shadow request is dropped if client requests use more than half of the processing slots, or
if the queue is full by number or by bytes. A shadow may also serve clients as a canary, so a duty cycle limits its
shadow requests.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanContext

from thale.errors import DeadlineExceededError, ThaleError
from thale.facade.deadline import Deadline
from thale.facade.inference import output_metrics
from thale.facade.inference.fallback import classify_error
from thale.facade.inference.shadow_samples import ShadowSampleStore
from thale.facade.postprocess import tasks
from thale.facade.postprocess.types import PhenotypeTask, RenderedResponse, ShadowPair
from thale.facade.postprocess.worker_pool import WorkerPool
from thale.facade.settings import FacadeSettings
from thale.facade.upstream.model_client import ModelClient, PredictRequest
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.routing import Route
from thale.monitoring.plate_statistics import PlateStatistics
from thale.telemetry import metrics, tracing

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShadowRequest:
    """A copy of a request that stable served, and the inputs and statistics of its phenotype."""

    shadow: Route
    request: PredictRequest
    stable: ModelResponse
    other_task: ModelResponse
    """The response of the other task's model."""
    task: PhenotypeTask
    statistics: PlateStatistics
    parent_span: SpanContext = INVALID_SPAN_CONTEXT
    """The span of the copied request."""

    @property
    def size_bytes(self) -> int:
        """Size in memory."""
        return len(self.request.image) + len(self.stable.data) + len(self.other_task.data)


def build_shadow_requests(
    rendered: RenderedResponse,
    responses: Sequence[ModelResponse],
    requests: Sequence[PredictRequest],
    task: PhenotypeTask,
) -> list[ShadowRequest]:
    """Return a request for the shadow of each model, for the sampled plate of a phenotype.

    Args:
        rendered: The client's response.
        responses: Responses of the segmentation model and of the landmark model, for one plate after the other.
        requests: The request of each response.
        task: Inputs of the client's phenotype.
    """
    if rendered.statistics is None:
        return []
    first = 2 * rendered.sampled_plate
    segmentation, landmarks = responses[first : first + 2]
    shadow_task, span = replace(task, image=b""), tracing.current_span_context()
    return [
        ShadowRequest(shadow, requests[first], stable, other_task, shadow_task, rendered.statistics, span)
        for stable, other_task in ((segmentation, landmarks), (landmarks, segmentation))
        if (shadow := stable.route.shadow) is not None
    ]


class ShadowMirror:
    """Sends shadow requests, up to `shadow_concurrency` at a time, and compares the responses with stable's."""

    def __init__(
        self,
        models: ModelClient,
        pool: WorkerPool,
        sample_store: ShadowSampleStore | None,
        settings: FacadeSettings,
        has_spare_capacity: Callable[[], bool],
    ) -> None:
        """Create a mirror. It sends nothing before `running`.

        Args:
            models: Client of the model servers.
            pool: Worker pool of the comparisons.
            sample_store: Store of shadow samples; None stores none.
            settings: Settings of the facade.
            has_spare_capacity: Returns True if client requests leave enough capacity for shadow requests.
        """
        self._models = models
        self._pool = pool
        self._sample_store = sample_store
        self._settings = settings
        self._has_spare_capacity = has_spare_capacity
        self._queue: asyncio.Queue[ShadowRequest] = asyncio.Queue(settings.shadow_queue)
        self._buffered_bytes = 0
        self._enqueued = 0
        self._last_enqueued: dict[tuple[str, str], int] = {}
        """Number of the last enqueued request of each shadow."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send shadow requests for the duration of the context. Running and queued ones are dropped at its end."""
        tasks = [asyncio.create_task(self._run_worker()) for _ in range(self._settings.shadow_concurrency)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def enqueue(self, shadow_requests: Iterable[ShadowRequest]) -> None:
        """Enqueue shadow requests, or drop them, without waiting.

        The shadow whose last request is the oldest comes first. Otherwise the shadow of one model would take each free
        place of a full queue, and the shadow of the other model would get no requests.
        """
        for shadow_request in sorted(shadow_requests, key=lambda request: self._last_enqueued.get(_key(request), 0)):
            fits_queue = (
                self._buffered_bytes + shadow_request.size_bytes <= self._settings.shadow_queue_bytes
                and not self._queue.full()
            )
            if fits_queue and self._has_spare_capacity():
                self._buffered_bytes += shadow_request.size_bytes
                self._queue.put_nowait(shadow_request)
                self._enqueued += 1
                self._last_enqueued[_key(shadow_request)] = self._enqueued
            else:
                _record_outcome(shadow_request.shadow, "dropped")

    async def _run_worker(self) -> None:
        idle_per_busy = 1 / self._settings.shadow_duty_cycle - 1
        while True:
            shadow_request = await self._queue.get()
            started = time.monotonic()
            try:
                _record_outcome(shadow_request.shadow, await self._process(shadow_request))
            # The isolation boundary between shadow requests: an error of one affects neither the next nor a client.
            except Exception:
                logger.exception("shadow request failed unexpectedly")
                _record_outcome(shadow_request.shadow, "invalid_response")
            finally:
                self._buffered_bytes -= shadow_request.size_bytes
            await asyncio.sleep((time.monotonic() - started) * idle_per_busy)

    async def _process(self, shadow_request: ShadowRequest) -> str:
        """Send and compare one shadow request. Returns the outcome."""
        if not self._has_spare_capacity():
            return "dropped"
        with tracing.span(
            "thale.shadow", shadow_request.shadow.span_attributes(), links=tracing.links(shadow_request.parent_span)
        ):
            return await self._predict_and_compare(shadow_request)

    async def _predict_and_compare(self, shadow_request: ShadowRequest) -> str:
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
            return await self._compare(shadow_request, pair)
        except ThaleError as error:
            outcome = classify_error(error)
            fields = {
                "model": shadow_request.shadow.name,
                "version": shadow_request.shadow.version,
                "error": str(error),
            }
            logger.info("shadow request failed", extra=fields)
            return "invalid_response" if outcome == "rejected" else outcome  # stable accepted the image

    async def _compare(self, shadow_request: ShadowRequest, pair: ShadowPair) -> str:
        deadline = Deadline.after(self._settings.shadow_timeout_s)
        try:
            difference = await self._pool.run(deadline, tasks.compare_shadow, pair)
        except DeadlineExceededError:
            return "dropped"  # the comparison got too little CPU time; the shadow's response was in time
        output_metrics.record_shadow_difference(difference, shadow_request.shadow)
        if self._sample_store is not None:
            try:
                await asyncio.to_thread(self._sample_store.save, shadow_request.request.image, pair, difference)
            except OSError as error:
                logger.error("shadow sample not saved", extra={"error": str(error)})
        return "ok"


def _key(shadow_request: ShadowRequest) -> tuple[str, str]:
    return shadow_request.shadow.name, shadow_request.shadow.version


def _record_outcome(shadow: Route, outcome: str) -> None:
    metrics.SHADOW_REQUESTS.labels(shadow.name, shadow.version, outcome).inc()
