"""Batch handling: one response per item of a TorchServe batch, independent of the other items.

An exception from a handler fails the whole batch with 503, so this module raises none. An invalid image gets 422, an
unexpected error gets 500, and both have a JSON body with the reason.
"""

import atexit
import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from thale.errors import (
    ArchiveError,
    EmptyImageError,
    ModelFailedError,
    ParameterError,
    ThaleError,
    UnsupportedImageError,
)
from thale.imaging.calibration import calibrate
from thale.imaging.image_io import decode
from thale.models.model_card import CARD, WEIGHTS, parse_model_card
from thale.schemas import Calibration, ModelCard, Region, Task
from thale.telemetry import logs, tracing
from thale.telemetry.server_timing import HEADER as SERVER_TIMING
from thale.telemetry.server_timing import Timing
from thale.telemetry.step_timing import record_steps, step
from thale_models.engine import Engine, load_engine
from thale_models.handlers.memory_limit import limit_memory_growth
from thale_models.handlers.settings import WorkerSettings

logger = logging.getLogger(__name__)

MM_PER_PX_HEADER = "x-thale-mm-per-px"
PLATE_WIDTH_MM_HEADER = "x-thale-plate-width-mm"
PAGE_HEADER = "x-thale-page"
ROTATE_HEADER = "x-thale-rotate"
PLATE_HEADER = "x-thale-plate"
REGION_HEADER = "x-thale-region"
RIDGES_HEADER = "x-thale-ridges"

HandlerResponse = tuple[bytes, str]
"""A body and its media type."""


@dataclass(frozen=True)
class DecodedRequest:
    """A decoded image with its calibration. Without `include_ridges`, the client needs no ridges."""

    image_HW3: NDArray[np.uint8]
    calibration: Calibration
    include_ridges: bool = True


class Context(Protocol):
    """The part of TorchServe's context that the handlers use."""

    @property
    def system_properties(self) -> Mapping[str, Any]:
        """Properties of the server, such as the directory of the unpacked archive."""

    def get_all_request_header(self, idx: int) -> Mapping[str, Any]:
        """Return the request headers of an item."""

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """Set a response header of an item."""

    def get_response_status(self, idx: int) -> tuple[int, str]:
        """Return status code and phrase of an item."""

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Set the media type of an item."""

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Set the status of an item. The phrase must be ASCII: TorchServe counts characters and sends bytes."""


def load_model(context: Context, task: Task) -> tuple[ModelCard, Engine]:
    """Load the model from the archive that TorchServe has unpacked for this worker.

    Raises:
        ArchiveError: If the archive is damaged, or its model has another task.
        DeviceError: If the configured device is missing.
    """
    folder = Path(context.system_properties["model_dir"])
    settings = WorkerSettings()
    logs.configure_package_loggers()
    try:
        card = parse_model_card((folder / CARD).read_bytes())
    except FileNotFoundError as error:
        raise ArchiveError(f"the archive has no {CARD}: create it with `thale-models archive`") from error
    if card.task != task:
        raise ArchiveError(f"{card.name} {card.version} is a model for {card.task}, but its handler is for {task}")
    if not (folder / WEIGHTS).is_file():
        raise ArchiveError(f"the archive has no {WEIGHTS}: create it with `thale-models archive`")
    span_attributes = {"thale.model": card.name, "thale.version": card.version}
    atexit.register(tracing.configure_tracing("thale-models", settings.otel, span_attributes))
    engine = load_engine(
        card,
        folder / WEIGHTS,
        settings.engine,
        threads=settings.threads,
        cache=settings.cache,
        torch_options=settings.torch_options,
    )
    limit_memory_growth(settings.memory_growth_mib)
    logger.info("model loaded", extra={"model": card.name, "version": card.version, "engine": engine.name})
    return card, engine


def handle_batch(
    data: Sequence[Mapping[str, object]],
    context: Context,
    predict: Callable[[DecodedRequest], HandlerResponse],
) -> list[bytes]:
    """Return one body per item, and set its status, content type and timing in the context.

    Args:
        data: The batch.
        context: TorchServe's context of the batch.
        predict: Called with each decoded request.
    """
    bodies = []
    for index, item in enumerate(data):
        headers = _request_headers(context, index)
        with tracing.server_span(headers, len(data)) as span:
            with record_steps() as timings:
                bodies.append(_handle_item(item, headers, context, index, predict))
            tracing.spans_from_steps(timings)
            tracing.set_status(span, context.get_response_status(index)[0])
        context.set_response_header(index, SERVER_TIMING, Timing(timings.seconds(), len(data)).to_header())
    return bodies


def _request_headers(context: Context, index: int) -> dict[str, str]:
    """Return the request headers of an item, with names in lower case."""
    raw_headers = context.get_all_request_header(index)
    return {name.lower(): value for name, value in raw_headers.items() if type(value) is str}


def _handle_item(
    item: Mapping[str, object],
    headers: Mapping[str, str],
    context: Context,
    index: int,
    predict: Callable[[DecodedRequest], HandlerResponse],
) -> bytes:
    try:
        with step("decode"):
            image_HW3 = _rotate(decode(_image_bytes(item), page=_parse_page_header(headers)), headers)
        with step("transform"), step("calibrate"):
            calibration = calibrate(
                image_HW3,
                _parse_float_header(headers, MM_PER_PX_HEADER),
                _parse_float_header(headers, PLATE_WIDTH_MM_HEADER),
                _parse_plate_header(headers),
                _parse_region_header(headers),
            )
        body, media_type = predict(
            DecodedRequest(image_HW3, calibration, include_ridges=headers.get(RIDGES_HEADER) != "0")
        )
    except ThaleError as error:
        return _set_error_response(context, index, HTTPStatus.UNPROCESSABLE_ENTITY, error.code, str(error))
    except MemoryError:
        logger.error("image exceeds the memory limit")
        message = (
            "the worker's memory does not suffice for this image: crop it, or raise THALE_WORKER_MEMORY_GROWTH_MIB"
        )
        return _set_error_response(context, index, HTTPStatus.INTERNAL_SERVER_ERROR, ModelFailedError.code, message)
    # Isolation boundary between the items of a batch: a bug that one image triggers must not fail the others.
    except Exception:
        logger.exception("inference failed unexpectedly")
        message = "the model failed on this image; the log of the model server has the traceback"
        return _set_error_response(context, index, HTTPStatus.INTERNAL_SERVER_ERROR, ModelFailedError.code, message)
    context.set_response_content_type(index, media_type)
    return body


def _set_error_response(context: Context, index: int, status: HTTPStatus, code: str, message: str) -> bytes:
    context.set_response_status(code=status.value, phrase=status.phrase, idx=index)
    context.set_response_content_type(index, "application/json")
    return json.dumps({"code": code, "message": message}).encode()


def _image_bytes(item: Mapping[str, object]) -> bytes:
    body = item.get("body", item.get("data"))
    if not body:
        raise EmptyImageError
    if not isinstance(body, bytes | bytearray):
        raise UnsupportedImageError(
            "the body was sent as text or JSON, not as an image: send its bytes as application/octet-stream"
        )
    return bytes(body)


def _parse_float_header(headers: Mapping[str, str], name: str) -> float | None:
    if name not in headers:
        return None
    try:
        value = float(headers[name])
    except ValueError as error:
        raise ParameterError(f"{name} is {headers[name]!r}: pass a number") from error
    if not math.isfinite(value):
        raise ParameterError(f"{name} is {headers[name]!r}: pass a finite number")
    return value


def _parse_page_header(headers: Mapping[str, str]) -> int | None:
    if PAGE_HEADER not in headers:
        return None
    try:
        page = int(headers[PAGE_HEADER])
    except ValueError as error:
        raise ParameterError(f"{PAGE_HEADER} is {headers[PAGE_HEADER]!r}: pass a page number from 0") from error
    if page < 0:
        raise ParameterError(f"{PAGE_HEADER} is {page}: pass a page number from 0")
    return page


def _rotate(image_HW3: NDArray[np.uint8], headers: Mapping[str, str]) -> NDArray[np.uint8]:
    """Return the image, turned clockwise as requested."""
    text = headers.get(ROTATE_HEADER, "0")
    if text not in ("0", "90", "180", "270"):
        raise ParameterError(f"{ROTATE_HEADER} is {text!r}: pass 0, 90, 180 or 270")
    return np.ascontiguousarray(np.rot90(image_HW3, -(int(text) // 90)))


def _parse_plate_header(headers: Mapping[str, str]) -> int:
    text = headers.get(PLATE_HEADER, "1")
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and int(text) > 0):
        raise ParameterError(f"{PLATE_HEADER} is {text!r}: pass the number of a plate from 1")
    return int(text)


def _parse_region_header(headers: Mapping[str, str]) -> Region:
    text = headers.get(REGION_HEADER, "plate")
    if text not in ("plate", "image"):
        raise ParameterError(f"{REGION_HEADER} is {text!r}: pass plate or image")
    return cast(Region, text)
