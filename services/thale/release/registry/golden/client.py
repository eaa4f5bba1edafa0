"""The golden plates put to a model server, over the same API that the facades use."""

import json
import time
from collections.abc import Callable
from http import HTTPStatus

import urllib3

from thale.errors import DeadlineExceededError, ModelFailedError, ModelUnavailableError, TargetError
from thale.models.predictions import (
    LANDMARKS_MEDIA_TYPE,
    SEGMENTATION_MEDIA_TYPE,
    SegmentationPrediction,
    parse_landmarks,
)
from thale.release.registry.golden.plates import GoldenPlate, golden_plates
from thale.release.registry.golden_predictions import GoldenPrediction
from thale.release.registry.golden.summary import summarise

PREDICT_TIMEOUT_S = 120.0
"""For all plates together: they take about 2 s on an idle machine."""

_CONNECT_TIMEOUT_S = 3.0
_RETRY_INTERVAL_S = 0.2
_UNAVAILABLE_STATUSES = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INSUFFICIENT_STORAGE}
)
"""TorchServe says 404 of a version that it does not have (yet), 503 where no worker is ready, 507 where one died."""
_WORKER_DIED = "Worker died."
"""What it says as well where the worker died, with 500 as often as with 507."""


def predict_golden_plates(
    url: str, name: str, version: str, timeout_s: float = PREDICT_TIMEOUT_S
) -> list[GoldenPrediction]:
    """Have a model version answer every golden plate.

    Args:
        url: The model server's inference address, without a path.
        name: The model.
        version: Its version.
        timeout_s: Limit for all of it.

    Raises:
        ModelUnavailableError: If no worker of the version is there to answer.
        ModelFailedError: If it fails, or answers what cannot be.
        DeadlineExceededError: If the limit passes.
    """
    deadline = time.monotonic() + timeout_s
    path = f"{url.rstrip('/')}/predictions/{name}/{version}"
    with urllib3.PoolManager(maxsize=1, retries=False) as pool:
        return [_predict_plate(pool, path, plate, deadline) for plate in golden_plates()]


def warm_up(
    url: str, name: str, version: str, timeout_s: float, on_retry: Callable[[], None] = lambda: None
) -> list[GoldenPrediction]:
    """Wait until a version that is being loaded has answered every golden plate, and return its answers.

    Args:
        url: The model server's inference address, without a path.
        name: The model.
        version: Its version.
        timeout_s: How long to wait for the worker and its answers together.
        gone_on: Called between two attempts; what it raises ends the wait.

    Raises:
        TargetError: If it does not answer within that time, or answers what cannot be.
    """
    deadline = time.monotonic() + timeout_s
    label = f"{name} {version}"
    while True:
        try:
            return predict_golden_plates(url, name, version, deadline - time.monotonic())
        except ModelUnavailableError as error:
            if time.monotonic() + _RETRY_INTERVAL_S >= deadline:
                raise TargetError(f"{label} did not come up within {timeout_s:g} s: {error}") from error
        except DeadlineExceededError as error:
            raise TargetError(f"{label} did not answer the golden plates within {timeout_s:g} s") from error
        except ModelFailedError as error:
            raise TargetError(f"{label} cannot answer the golden plates: {error}") from error
        on_retry()
        time.sleep(_RETRY_INTERVAL_S)


def _predict_plate(pool: urllib3.PoolManager, path: str, plate: GoldenPlate, deadline: float) -> GoldenPrediction:
    headers = {"Content-Type": "application/octet-stream", "x-thale-mm-per-px": repr(plate.mm_per_px)}
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise DeadlineExceededError(f"{plate.name} was not answered in time")
    timeout = urllib3.Timeout(total=remaining, connect=min(_CONNECT_TIMEOUT_S, remaining))
    try:
        response = pool.request("POST", path, body=plate.image, headers=headers, timeout=timeout, redirect=False)
    except urllib3.exceptions.ConnectTimeoutError as error:
        raise ModelUnavailableError(f"the model server does not answer at {path}") from error
    except urllib3.exceptions.ReadTimeoutError as error:
        raise DeadlineExceededError(f"{plate.name} was not answered in time") from error
    except urllib3.exceptions.HTTPError as error:
        raise ModelUnavailableError(f"the model server does not answer at {path}: {error}") from error
    if response.status != HTTPStatus.OK:
        raise _to_error(plate, response.status, response.data)
    return _parse_response(plate, response.headers.get("content-type", ""), response.data)


def _parse_response(plate: GoldenPlate, media_type: str, data: bytes) -> GoldenPrediction:
    if media_type == SEGMENTATION_MEDIA_TYPE:
        return summarise(plate, SegmentationPrediction.from_bytes(data))
    if media_type == LANDMARKS_MEDIA_TYPE:
        return summarise(plate, parse_landmarks(data))
    raise ModelFailedError(f"the answer is {media_type or 'of no stated kind'}: neither segmentation nor landmarks")


def _to_error(plate: GoldenPlate, status: int, body: bytes) -> ModelUnavailableError | ModelFailedError:
    try:
        payload = json.loads(body)
    except ValueError:
        payload = None
    message = str(payload.get("message", "")) if isinstance(payload, dict) else ""
    if status in _UNAVAILABLE_STATUSES or message == _WORKER_DIED:
        return ModelUnavailableError(f"no worker is ready (status {status}{', ' if message else ''}{message})")
    return ModelFailedError(f"{plate.name} was answered with status {status}: {message or 'no reason given'}")
