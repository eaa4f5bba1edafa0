"""HTTP client of the model servers: TorchServe's inference and management APIs.

Images are sent as received, over persistent connections. A worker's rejection of an image is raised as the error that
the worker named. Every other error response is raised as an error of the model.
"""

import asyncio
import io
import itertools
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
from thale.errors import (
    ImageError,
    ModelFailedError,
    ModelStartingError,
    ModelUnavailableError,
    ParameterError,
    ScaleError,
    ThaleError,
)
from thale.facade.deadline import Deadline
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.model_server_sessions import ModelServerSessions
from thale.facade.upstream.routing import Route
from thale.models.torchserve_errors import TorchServeError
from thale.schemas import Region
from thale.telemetry import metrics, server_timing, tracing
from thale.telemetry.server_timing import Timing, read_timing

logger = logging.getLogger(__name__)

IMAGE_ERRORS = (ImageError, ScaleError, ParameterError)
"""The errors that a worker may return for an image. Any other code in an error response counts as a model failure."""
_RETRY_PAUSE_S = 0.2
_START_PAUSE_S = 1.0
_START_MARGIN_S = 5.0
"""Time before the deadline at which a request stops waiting for a replica. Its client then gets a response in time."""
_CONNECT_TIMEOUT_S = 3.0
_MANAGEMENT_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class PredictRequest:
    """A model request: an image, its size in px as the model sees it, and its scale and page if given.

    The model turns the image clockwise by `rotate` degrees, and processes plate `plate_number` of it. The size applies
    after the EXIF orientation and this turn. With the region `image`, it processes the whole image and searches no
    plate. Without `include_ridges`, a segmentation has no ridges.
    """

    image: bytes
    width: int
    height: int
    mm_per_px: float | None = None
    plate_width_mm: float | None = None
    page: int | None = None
    rotate: int | None = None
    plate_number: int | None = None
    region: Region = "plate"
    include_ridges: bool = True

    def headers(self) -> dict[str, str]:
        """Return the request headers with scale, page, turn and plate."""
        optional = {
            "x-thale-mm-per-px": self.mm_per_px,
            "x-thale-plate-width-mm": self.plate_width_mm,
            "x-thale-page": self.page,
            "x-thale-rotate": self.rotate,
            "x-thale-plate": self.plate_number,
            "x-thale-region": None if self.region == "plate" else self.region,
            "x-thale-ridges": None if self.include_ridges else 0,
        }
        return {"Content-Type": "application/octet-stream"} | {
            name: str(value) for name, value in optional.items() if value is not None
        }


@dataclass(frozen=True)
class _RawResponse:
    """Body of one model response, with the duration and the worker's timing."""

    data: bytes
    seconds: float
    timing: Timing

    def stage_seconds(self) -> Mapping[str, float]:
        """Return the seconds of the worker's steps, and `queue` for the remaining time. Empty without a timing."""
        steps = self.timing.seconds
        return {"queue": max(self.seconds - sum(steps.values()), 0.0), **steps} if steps else {}


class ModelClient:
    """Sends predict requests to model versions, and reads the state of their workers."""

    def __init__(
        self, sessions: ModelServerSessions, model_url: str, management_url: str, *, scale_to_zero: bool = False
    ) -> None:
        self._sessions = sessions
        self._model_url = model_url
        self._management_url = management_url
        self._scale_to_zero = scale_to_zero

    @classmethod
    @asynccontextmanager
    async def connect(cls, model_url: str, management_url: str, *, scale_to_zero: bool = False) -> AsyncIterator[Self]:
        """Open a client for the duration of the context.

        Args:
            model_url: URL or Unix domain socket of the inference API.
            management_url: The same of the management API.
            scale_to_zero: True if a request waits for the start of a replica.
        """
        async with ModelServerSessions() as sessions:
            yield cls(sessions, model_url, management_url, scale_to_zero=scale_to_zero)

    async def predict(
        self, route: Route, request: PredictRequest, deadline: Deadline, *, retry: bool = True
    ) -> ModelResponse:
        """Return a model version's response. With `retry`, retry if no worker is available.

        There is one retry, or one each second until shortly before the deadline if the model may be scaled to zero. A
        retry is safe because inference is idempotent.

        Raises:
            ImageError, ScaleError, ParameterError: If the worker rejects the image.
            ModelUnavailableError: If no worker is available, also for the retry.
            ModelStartingError: If no replica was ready shortly before the deadline, and the model may have none.
            ModelFailedError: If the worker failed.
            DeadlineExceededError: If there is no response before the deadline.
        """
        labels = {"model": route.name, "version": route.version}
        retries = metrics.MODEL_RETRIES.labels(**labels)  # initialised to 0 so that rate() sees the first increment
        started = time.monotonic()
        try:
            raw = await self._send(route, request, deadline, 0)
        except ModelUnavailableError as error:
            if not retry:
                raise
            logger.warning("model request retried", extra={**labels, "error": str(error)})
            retries.inc()
            await asyncio.sleep(min(_RETRY_PAUSE_S, deadline.remaining()))
            raw = await self._retry(route, request, deadline)
        seconds = time.monotonic() - started
        logger.info("model responded", extra={**labels, "seconds": round(seconds, 4), "bytes": len(raw.data)})
        return ModelResponse(
            route, raw.data, seconds, request.width, request.height, raw.stage_seconds(), raw.timing.batch_size
        )

    async def _retry(self, route: Route, request: PredictRequest, deadline: Deadline) -> _RawResponse:
        """Send a request again: once, or until a replica accepts it if the model may be scaled to zero."""
        started = time.monotonic()
        for resend_count in itertools.count(1):
            try:
                return await self._send(route, request, deadline, resend_count)
            except ModelUnavailableError as error:
                if not self._scale_to_zero:
                    raise
                if deadline.remaining() <= _START_MARGIN_S + _START_PAUSE_S:
                    raise ModelStartingError(route.name, route.version, time.monotonic() - started) from error
            await asyncio.sleep(_START_PAUSE_S)
        raise AssertionError("unreachable: itertools.count never ends")

    async def _send(self, route: Route, request: PredictRequest, deadline: Deadline, resend_count: int) -> _RawResponse:
        address = route.url or self._model_url
        server = self._sessions.find(address)
        url = f"{server.url}/predictions/{route.name}/{route.version}"
        timeout = aiohttp.ClientTimeout(total=deadline.remaining(), sock_connect=_CONNECT_TIMEOUT_S)
        started = time.monotonic()
        with tracing.client_span(url, route.span_attributes(), resend_count, server.unix_socket) as span:
            try:
                async with server.session.post(
                    url,
                    data=io.BytesIO(request.image),
                    headers=request.headers() | tracing.outgoing_headers(),
                    timeout=timeout,
                    allow_redirects=False,
                ) as response:
                    body = await response.read()
            except aiohttp.ConnectionTimeoutError as error:
                raise ModelUnavailableError(
                    f"the model server at {address} does not accept connections: retry in a few seconds"
                ) from error
            except TimeoutError as error:
                raise deadline.error() from error
            except aiohttp.ClientError as error:
                message = f"the connection to the model server failed ({error}): retry in a few seconds"
                raise ModelUnavailableError(message) from error
            span.set_attribute("http.response.status_code", response.status)
            if response.status != HTTPStatus.OK:
                raise _to_error(route, response.status, body)
        return _RawResponse(
            body, time.monotonic() - started, read_timing(response.headers.get(server_timing.HEADER, ""))
        )

    async def count_ready_workers(self, name: str, version: str, url: str = "") -> int | None:
        """Return the number of ready workers, or None if the version is unknown or the model server unreachable.

        A version with its own URL has a Kubernetes service in front of its pods. The management API is reachable only
        inside a pod, so a successful ping of the service counts as one worker.
        """
        address, path = (url, "/ping") if url else (self._management_url, f"/models/{name}/{version}")
        description = await self._get(address, path)
        count = None if description is None else 1 if url else _parse_ready_workers(description)
        metrics.MODEL_WORKERS.labels(name, version).set(count or 0)
        return count

    async def _get(self, address: str, path: str) -> object:
        """Return the JSON at a path of a model server, or None if the request fails."""
        server = self._sessions.find(address)
        timeout = aiohttp.ClientTimeout(total=_MANAGEMENT_TIMEOUT_S)
        try:
            async with server.session.get(server.url + path, timeout=timeout, allow_redirects=False) as response:
                return json.loads(await response.read()) if response.status == HTTPStatus.OK else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


def _parse_ready_workers(description: object) -> int | None:
    """Count the ready workers in TorchServe's model description: a list with one entry for the requested version."""
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
        return ModelUnavailableError(f"no worker of {model_version} is available: retry in a few seconds")
    if response.is_unknown_version:
        return ModelUnavailableError(
            f"{model_version} is released, but not loaded by the model server yet: retry in a few seconds"
        )
    fields = {"model": route.name, "version": route.version, "status": status}
    logger.error("model failed", extra={**fields, "error": response.message})
    return ModelFailedError(f"{model_version} failed on this image (status {status}); see the model server's log")


def _parse_image_error(response: TorchServeError) -> ThaleError | None:
    """Return the image error of a worker's {"code": error code, "message": …}, or None for any other code."""
    error_class = errors.error_class(response.code)
    if error_class is None or not issubclass(error_class, IMAGE_ERRORS):
        return None
    return error_class.from_message(response.message)
