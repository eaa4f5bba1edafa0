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
from thale.facade.inference.fallback import outcome_of
from thale.facade.inference.shadow_samples import Replay
from thale.facade.postprocess import tasks
from thale.facade.postprocess.types import Comparison, Measurement
from thale.facade.postprocess.worker_pool import Pool
from thale.facade.settings import Settings
from thale.facade.upstream.model_client import ModelClient, Question
from thale.facade.upstream.model_response import Answer
from thale.facade.upstream.routing import Choice
from thale.monitoring.plate_statistics import Observation
from thale.telemetry import metrics, tracing

logger = logging.getLogger(__name__)

_NICENESS = 5  # a comparison gets a third of the processor time that a measurement beside it gets


@dataclass(frozen=True)
class Copy:
    """A question that the stable version answered, for its shadow, and what the user's phenotype was made of."""

    shadow: Choice
    question: Question
    stable: Answer
    companion: Answer
    """The other model's answer."""
    work: Measurement
    seen: Observation
    origin: SpanContext = INVALID_SPAN_CONTEXT
    """The span of the request that was copied."""

    @property
    def size(self) -> int:
        """Bytes that it holds in memory."""
        return len(self.question.image) + len(self.stable.data) + len(self.companion.data)


class Mirror:
    """Asks shadows, a few at a time, and compares."""

    def __init__(self, models: ModelClient, settings: Settings, calm: Callable[[], bool]) -> None:
        """`calm` says whether users leave room for copies."""
        self._models = models
        self._settings = settings
        self._calm = calm
        self._queue: asyncio.Queue[Copy] = asyncio.Queue(settings.shadow_queue)
        self._held_bytes = 0
        self._replay = Replay(settings.replay_path, settings.replay_pairs) if settings.replay_path else None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask shadows for as long as the context lasts; what is under way or waits then is dropped."""
        pool = Pool(1, niceness=_NICENESS)  # its process starts with the first comparison
        tasks = [asyncio.create_task(self._work(pool)) for _ in range(self._settings.shadow_concurrency)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            pool.close()

    async def offer(self, copies: Iterable[Copy]) -> None:
        """Take copies in, or drop them. Never waits."""
        for copy in copies:
            room = self._held_bytes + copy.size <= self._settings.shadow_queue_bytes and not self._queue.full()
            if room and self._calm():
                self._held_bytes += copy.size
                self._queue.put_nowait(copy)
            else:
                _count(copy.shadow, "dropped")

    async def _work(self, pool: Pool) -> None:
        busy_per_rest = 1 / self._settings.shadow_duty - 1
        while True:
            copy = await self._queue.get()
            began = time.monotonic()
            try:
                _count(copy.shadow, await self._mirror(copy, pool))
            # The boundary between copies: whatever one of them breaks, the next is asked, and no user hears of it.
            except Exception:
                logger.exception("a copy for a shadow failed unexpectedly")
                _count(copy.shadow, "nonsense")
            finally:
                self._held_bytes -= copy.size
            await asyncio.sleep((time.monotonic() - began) * busy_per_rest)

    async def _mirror(self, copy: Copy, pool: Pool) -> str:
        """Ask and compare. Returns the outcome."""
        if not self._calm():
            return "dropped"
        with tracing.span("thale.shadow", copy.shadow.told(), links=tracing.links(copy.origin)):
            return await self._ask(copy, pool)

    async def _ask(self, copy: Copy, pool: Pool) -> str:
        try:
            deadline = Deadline.after(self._settings.shadow_deadline_s)
            answer = await self._models.ask(copy.shadow, copy.question, deadline, again=False)
            pair = Comparison(copy.stable, answer, copy.companion, copy.work, copy.seen)
            return await self._compare(copy, pair, pool)
        except ThaleError as error:
            outcome = outcome_of(error)
            fields = {"model": copy.shadow.name, "version": copy.shadow.version, "error": str(error)}
            logger.info("shadow gave no answer to compare", extra=fields)
            return "nonsense" if outcome == "refused" else outcome  # the stable version could read the image

    async def _compare(self, copy: Copy, pair: Comparison, pool: Pool) -> str:
        try:
            difference = await pool.run(Deadline.after(self._settings.shadow_deadline_s), tasks.compare, pair)
        except DeadlineExceededError:
            return "dropped"  # users left no processor time for the comparison; the shadow was in time
        output_metrics.count_difference(difference, copy.shadow)
        if self._replay is not None:
            try:
                await asyncio.to_thread(self._replay.keep, copy.question.image, pair, difference)
            except OSError as error:
                logger.error("pair for replay cannot be kept", extra={"error": str(error)})
        return "ok"


def _count(shadow: Choice, outcome: str) -> None:
    metrics.SHADOW_REQUESTS.labels(shadow.name, shadow.version, outcome).inc()
