"""Periodic probe of the request path: a tiny image passes the header reader, the worker pools and the stable models.

The state of the workers does not prove that they serve: six files once blocked every later request while readiness
reported "ready". A part of the path is probed only if no request has passed it in the last seconds (ADR 0088).
"""

import asyncio
import io
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache

from PIL import Image

from thale.errors import DeadlineExceededError, ThaleError
from thale.facade.deadline import Deadline
from thale.facade.postprocess.worker_pool import WorkerPool, WorkerTaskError
from thale.facade.upstream.model_client import IMAGE_ERRORS, ModelClient, PredictRequest
from thale.facade.upstream.routing import Route
from thale.imaging.image_io import read_header

logger = logging.getLogger(__name__)

UNRECOVERABLE_S = 150.0
"""A part of this process that has been stuck for longer needs a restart. Overdue tasks are killed long before."""
_LOCAL_TIMEOUT_S = 5.0
_MODEL_TIMEOUT_S = 10.0
_START_INTERVAL_S = 0.1
_MAX_FIRST_WAIT_S = 3.0
_SIDE_PX = 64


@dataclass(frozen=True)
class ProbeIntervals:
    """Pauses between two probes of one part of the path, in seconds."""

    local_s: float = 5.0
    model_s: float = 15.0
    after_failure_s: float = 1.0


@dataclass
class _Part:
    """State of one part of the request path."""

    next_probe: float = 0.0
    failures: int = 0
    failing_since: float | None = None
    reason: str = ""
    has_succeeded: bool = False


@dataclass
class RequestPathProbe:
    """Probes the request path in the background, and holds the result."""

    models: ModelClient
    header_pool: WorkerPool
    postprocess_pool: WorkerPool
    last_response_at: Callable[[str, str], float]
    """Returns the monotonic time of the last response of a model version to a client."""
    intervals: ProbeIntervals = ProbeIntervals()
    stable_routes: Sequence[Route] = ()
    """The stable versions that had a ready worker at the last poll."""
    _local: dict[str, _Part] = field(default_factory=dict, init=False)
    _versions: dict[tuple[str, str], _Part] = field(default_factory=dict, init=False)
    _completed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Probe for the duration of the context."""
        probing = asyncio.create_task(self._probe_forever())
        try:
            yield
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)

    async def wait_for_first(self) -> None:
        """Wait for the first probe of the models, up to a few seconds. Does not wait if no model has a worker."""
        if self.stable_routes and not self._completed.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._completed.wait(), _MAX_FIRST_WAIT_S)

    def failures(self) -> list[str]:
        """Return the reasons why requests would fail, one sentence each."""
        if self.stable_routes and not self._completed.is_set():
            return ["the request path has not been probed yet"]
        parts = [*self._local.values(), *self._versions.values()]
        return [part.reason for part in parts if part.reason]

    def is_recoverable(self) -> bool:
        """Return False if a part of this process has been stuck for so long that only a restart helps."""
        limit = time.monotonic() - UNRECOVERABLE_S
        return all(part.failing_since is None or part.failing_since > limit for part in self._local.values())

    async def probe(self) -> None:
        """Probe each part of the path that is due."""
        local: dict[str, Callable[[], Awaitable[object]]] = {
            "the thread pool": self._probe_threads,
            "the image header reader": self._probe_headers,
            "the post-processing pool": self._probe_postprocessing,
        }
        routes = {(route.name, route.version): route for route in self.stable_routes}
        for removed in self._versions.keys() - routes.keys():
            del self._versions[removed]
        await asyncio.gather(
            *(self._probe_local(self._local.setdefault(name, _Part()), name, run) for name, run in local.items()),
            *(self._probe_version(self._versions.setdefault(key, _Part()), route) for key, route in routes.items()),
        )
        if routes:
            self._completed.set()

    async def _probe_forever(self) -> None:
        while True:
            try:
                await self.probe()
            # The isolation boundary between probes: an unexpected error of one must not end the next ones.
            except Exception:
                logger.exception("request path probe failed unexpectedly")
            await asyncio.sleep(self.intervals.after_failure_s if self._completed.is_set() else _START_INTERVAL_S)

    async def _probe_local(self, part: _Part, name: str, run: Callable[[], Awaitable[object]]) -> None:
        """Probe a part of this process. One failure counts, because each probe waits for several seconds."""
        if time.monotonic() < part.next_probe:
            return
        try:
            await run()
        except (DeadlineExceededError, TimeoutError):
            self._record_failure(part, f"{name} does not respond within {_LOCAL_TIMEOUT_S:g} s", tolerated=0)
        except (ThaleError, WorkerTaskError) as error:
            if not part.reason:
                logger.error("request path probe failed", extra={"dependency": name, "error": str(error)})
            self._record_failure(part, f"{name} fails; the log has the reason", tolerated=0)
        else:
            _record_success(part, self.intervals.local_s)

    async def _probe_version(self, part: _Part, route: Route) -> None:
        """Probe a model version. After a success, only the second failure in a row counts: one request may fail."""
        started = time.monotonic()
        if started < part.next_probe:
            return
        if self.last_response_at(route.name, route.version) > started - self.intervals.model_s:
            _record_success(part, self.intervals.model_s)
            return
        request = PredictRequest(_probe_image(), _SIDE_PX, _SIDE_PX, mm_per_px=0.1)
        try:
            await self.models.predict(route, request, Deadline.after(_MODEL_TIMEOUT_S), retry=False)
        except IMAGE_ERRORS:
            pass  # the model responded
        except ThaleError as error:
            if self.last_response_at(route.name, route.version) < started:
                reason = f"{route.name} {route.version} fails on the probe: {error}"
                self._record_failure(part, reason, tolerated=1 if part.has_succeeded else 0)
                return
        _record_success(part, self.intervals.model_s)

    async def _probe_threads(self) -> None:
        async with asyncio.timeout(_LOCAL_TIMEOUT_S):
            await asyncio.to_thread(time.monotonic)

    async def _probe_headers(self) -> None:
        await _probe_pool(self.header_pool, read_header, _probe_image())

    async def _probe_postprocessing(self) -> None:
        await _probe_pool(self.postprocess_pool, os.getpid)

    def _record_failure(self, part: _Part, reason: str, tolerated: int) -> None:
        now = time.monotonic()
        part.failures += 1
        part.failing_since = part.failing_since or now
        part.next_probe = now + self.intervals.after_failure_s
        if part.failures > tolerated:
            if not part.reason:
                logger.warning("request path probe failed", extra={"error": reason})
            part.reason = reason


def _record_success(part: _Part, interval_s: float) -> None:
    if part.reason:
        logger.info("request path probe succeeded again", extra={"error": part.reason})
    part.failures, part.failing_since, part.reason, part.has_succeeded = 0, None, "", True
    part.next_probe = time.monotonic() + interval_s


async def _probe_pool(pool: WorkerPool, task: Callable[..., object], *arguments: object) -> None:
    """Run a probe task, unless the pool has completed a task in the last seconds.

    Raises:
        DeadlineExceededError: If the pool completed no task within the time limit.
        ModelUnavailableError: If the worker process died twice.
    """
    started = time.monotonic()
    if pool.last_completed_at > started - _LOCAL_TIMEOUT_S:
        return
    try:
        await pool.run(Deadline.after(_LOCAL_TIMEOUT_S), task, *arguments)
    except DeadlineExceededError:
        if pool.last_completed_at < started:
            raise


@cache
def _probe_image() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (_SIDE_PX, _SIDE_PX), (200, 200, 200)).save(buffer, "PNG")
    return buffer.getvalue()
