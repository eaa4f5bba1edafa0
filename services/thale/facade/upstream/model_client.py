"""The models, asked over HTTP: TorchServe's inference and management APIs.

Images travel as received, over connections that are kept alive. An answer that says what is wrong with the image is
raised as the error that the worker named; everything else that is not an answer is the model's fault.
"""

import asyncio
import io
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

import aiohttp

from thale import errors
from thale.errors import ImageError, ModelFailedError, ModelUnavailableError, ParameterError, ScaleError, ThaleError
from thale.facade.deadline import Deadline
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.routing import Route
from thale.models.torchserve_errors import TorchServeError
from thale.telemetry import metrics, server_timing, tracing
from thale.telemetry.server_timing import Timing, read_timing

logger = logging.getLogger(__name__)

IMAGE_ERRORS = (ImageError, ScaleError, ParameterError)
"""What a worker may say of an image. Any other name in its answer is not taken at its word."""
_RETRY_PAUSE_S = 0.2
_CONNECT_TIMEOUT_S = 3.0
_MANAGEMENT_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class PredictRequest:
    """What a model is asked: an image (its size in px, after EXIF orientation), and what is known of scale and page."""

    image: bytes
    width: int
    height: int
    mm_per_px: float | None = None
    plate_width_mm: float | None = None
    page: int | None = None

    def headers(self) -> dict[str, str]:
        """Return the request headers that carry what is known beside the image."""
        optional = {
            "x-thale-mm-per-px": self.mm_per_px,
            "x-thale-plate-width-mm": self.plate_width_mm,
            "x-thale-page": self.page,
        }
        return {"Content-Type": "application/octet-stream"} | {
            name: repr(value) for name, value in optional.items() if value is not None
        }


@dataclass(frozen=True)
class _RawResponse:
    """What came back on one question, after how long, and what the worker says of its own time."""

    data: bytes
    seconds: float
    timing: Timing

    def stage_seconds(self) -> Mapping[str, float]:
        """Return the worker's steps and the rest, queue and way; nothing where it tells nothing."""
        steps = self.timing.seconds
        return {"queue": max(self.seconds - sum(steps.values()), 0.0), **steps} if steps else {}


class ModelClient:
    """Asks model versions, and how their workers are."""

    def __init__(self, session: aiohttp.ClientSession, model_url: str, management_url: str) -> None:
        self._session = session
        self._model_url = model_url
        self._management_url = management_url

    @classmethod
    @asynccontextmanager
    async def connect(cls, model_url: str, management_url: str) -> AsyncIterator[Self]:
        """Give a client whose connections live as long as the context."""
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        # No proxy, no cookies, no redirects: the model server is known by its address.
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield cls(session, model_url, management_url)

    async def predict(
        self, route: Route, request: PredictRequest, deadline: Deadline, *, retry: bool = True
    ) -> ModelResponse:
        """Return a model version's answer. A version that is gone is tried again (`retry`): a question changes nothing.

        Raises:
            ImageError, ScaleError, ParameterError: What the worker says of the image.
            ModelUnavailableError: If no worker answers, not even the second time.
            ModelFailedError: If the worker failed.
            DeadlineExceededError: If the answer comes too late.
        """
        labels = {"model": route.name, "version": route.version}
        retries = metrics.MODEL_RETRIES.labels(**labels)  # told from 0 on: a counter that begins at 1 shows no rise
        started = time.monotonic()
        try:
            raw = await self._send(route, request, deadline, 0)
        except ModelUnavailableError as error:
            if not retry:
                raise
            logger.warning("model request retried", extra={**labels, "error": str(error)})
            retries.inc()
            await asyncio.sleep(min(_RETRY_PAUSE_S, deadline.remaining()))
            raw = await self._send(route, request, deadline, 1)
        seconds = time.monotonic() - started
        logger.info("model responded", extra={**labels, "seconds": round(seconds, 4), "bytes": len(raw.data)})
        return ModelResponse(
            route, raw.data, seconds, request.width, request.height, raw.stage_seconds(), raw.timing.batch_size
        )

    async def _send(self, route: Route, request: PredictRequest, deadline: Deadline, resend_count: int) -> _RawResponse:
        server = route.url or self._model_url
        url = f"{server}/predictions/{route.name}/{route.version}"
        timeout = aiohttp.ClientTimeout(total=deadline.remaining(), sock_connect=_CONNECT_TIMEOUT_S)
        started = time.monotonic()
        with tracing.client_span(url, route.span_attributes(), resend_count) as span:
            try:
                async with self._session.post(
                    url,
                    data=io.BytesIO(request.image),
                    headers=request.headers() | tracing.outgoing_headers(),
                    timeout=timeout,
                    allow_redirects=False,
                ) as response:
                    body = await response.read()
            except aiohttp.ConnectionTimeoutError as error:
                raise ModelUnavailableError(f"the model server does not answer at {server}") from error
            except TimeoutError as error:
                raise deadline.error() from error
            except aiohttp.ClientError as error:
                message = f"the connection to the model server failed ({error}): try again"
                raise ModelUnavailableError(message) from error
            span.set_attribute("http.response.status_code", response.status)
            if response.status != HTTPStatus.OK:
                raise _to_error(route, response.status, body)
        return _RawResponse(
            body, time.monotonic() - started, read_timing(response.headers.get(server_timing.HEADER, ""))
        )

    async def count_ready_workers(self, name: str, version: str, url: str = "") -> int | None:
        """Return how many workers of a version are ready, None where the model server does not know it or is away.

        Behind an address of its own a version has pods that pass their probes, or nobody answers there. TorchServe's
        management API stays within a pod, so that is told as one worker.
        """
        description = await self._get(f"{url}/ping" if url else f"{self._management_url}/models/{name}/{version}")
        count = None if description is None else 1 if url else _parse_ready_workers(description)
        metrics.MODEL_WORKERS.labels(name, version).set(count or 0)
        return count

    async def _get(self, url: str) -> object:
        """Return the JSON at an address, None where there is none."""
        timeout = aiohttp.ClientTimeout(total=_MANAGEMENT_TIMEOUT_S)
        try:
            async with self._session.get(url, timeout=timeout, allow_redirects=False) as response:
                return json.loads(await response.read()) if response.status == HTTPStatus.OK else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


def _parse_ready_workers(description: object) -> int | None:
    """Count the ready workers in TorchServe's description of a model: a list with one entry for each version."""
    match description:
        case [{"workers": [*workers]}]:
            return len([worker for worker in workers if isinstance(worker, dict) and worker.get("status") == "READY"])
        case _:
            return None


def _to_error(route: Route, status: int, body: bytes) -> ThaleError:
    model_version = f"{route.name} {route.version}"
    response = TorchServeError.from_response(status, body)
    if status == HTTPStatus.UNPROCESSABLE_ENTITY and (image_error := _parse_image_error(response)) is not None:
        return image_error
    if response.is_worker_unavailable:
        return ModelUnavailableError(f"no worker of {model_version} is there to answer: try again in a few seconds")
    if response.is_unknown_version:
        return ModelUnavailableError(f"{model_version} is released, and the model server does not have it (yet)")
    fields = {"model": route.name, "version": route.version, "status": status}
    logger.error("model failed", extra={**fields, "error": response.message})
    return ModelFailedError(f"{model_version} failed on this image (status {status}); the server's log says more")


def _parse_image_error(response: TorchServeError) -> ThaleError | None:
    """Return the error of a worker's {"code": error code, "message": …}, None if the code names no image fault."""
    error_class = errors.error_class(response.code)
    if error_class is None or not issubclass(error_class, IMAGE_ERRORS):
        return None
    return error_class.from_message(response.message)
