"""Client that sends the golden plates to a model server, over the inference API that facades use."""

import time
from collections.abc import Callable
from http import HTTPStatus

import urllib3

from thale.errors import DeadlineExceededError, ModelFailedError, ModelUnavailableError, TargetError
from thale.models.model_server_pool import open_pool
from thale.models.predictions import (
    LANDMARKS_MEDIA_TYPE,
    SEGMENTATION_MEDIA_TYPE,
    SegmentationPrediction,
    parse_landmarks,
)
from thale.models.torchserve_errors import TorchServeError
from thale.release.registry.golden.plates import GoldenPlate, golden_plates
from thale.release.registry.golden.summary import summarise
from thale.release.registry.golden_predictions import GoldenPrediction

PREDICT_TIMEOUT_S = 120.0
"""Timeout for all plates together. They take about 2 s on an idle machine."""

_CONNECT_TIMEOUT_S = 3.0
_RETRY_INTERVAL_S = 0.2


def predict_golden_plates(
    url: str, name: str, version: str, timeout_s: float = PREDICT_TIMEOUT_S
) -> list[GoldenPrediction]:
    """Return the predictions of a model version on every golden plate.

    Args:
        url: The address of the inference API: a URL without a path, or a Unix domain socket.
        name: The model.
        version: Its version.
        timeout_s: Timeout for all plates together.

    Raises:
        ModelUnavailableError: If no worker of the version is available.
        ModelFailedError: If the version fails, or its response is not valid.
        DeadlineExceededError: If the timeout passes.
    """
    deadline = time.monotonic() + timeout_s
    path = f"/predictions/{name}/{version}"
    with open_pool(url) as pool:
        return [_predict_plate(pool, path, plate, deadline) for plate in golden_plates()]


def warm_up(
    url: str, name: str, version: str, timeout_s: float, on_retry: Callable[[], None] = lambda: None
) -> list[GoldenPrediction]:
    """Wait until a version that is being loaded has predicted every golden plate, and return its predictions.

    Args:
        url: The address of the inference API: a URL without a path, or a Unix domain socket.
        name: The model.
        version: Its version.
        timeout_s: Timeout for the worker and its predictions together.
        on_retry: Called between two attempts. An exception from it ends the wait.

    Raises:
        TargetError: If the timeout passes, or the version fails.
    """
    deadline = time.monotonic() + timeout_s
    label = f"{name} {version}"
    while True:
        try:
            return predict_golden_plates(url, name, version, deadline - time.monotonic())
        except ModelUnavailableError as error:
            if time.monotonic() + _RETRY_INTERVAL_S >= deadline:
                raise TargetError(f"{label} was not ready within {timeout_s:g} s: {error}") from error
        except DeadlineExceededError as error:
            raise TargetError(f"{label} did not predict the golden plates within {timeout_s:g} s") from error
        except ModelFailedError as error:
            raise TargetError(f"{label} cannot predict the golden plates: {error}") from error
        on_retry()
        time.sleep(_RETRY_INTERVAL_S)


def _predict_plate(
    pool: urllib3.HTTPConnectionPool, path: str, plate: GoldenPlate, deadline: float
) -> GoldenPrediction:
    headers = {"Content-Type": "application/octet-stream", "x-thale-mm-per-px": repr(plate.mm_per_px)}
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise DeadlineExceededError(f"the prediction on {plate.name} exceeded the timeout")
    timeout = urllib3.Timeout(total=remaining, connect=min(_CONNECT_TIMEOUT_S, remaining))
    try:
        response = pool.request("POST", path, body=plate.image, headers=headers, timeout=timeout, redirect=False)
    except urllib3.exceptions.ConnectTimeoutError as error:
        raise ModelUnavailableError(f"the model server does not respond: {error}") from error
    except urllib3.exceptions.ReadTimeoutError as error:
        raise DeadlineExceededError(f"the prediction on {plate.name} exceeded the timeout") from error
    except urllib3.exceptions.HTTPError as error:
        raise ModelUnavailableError(f"the model server does not respond: {error}") from error
    if response.status != HTTPStatus.OK:
        raise _to_error(plate, response.status, response.data)
    return _parse_response(plate, response.headers.get("content-type", ""), response.data)


def _parse_response(plate: GoldenPlate, media_type: str, data: bytes) -> GoldenPrediction:
    if media_type == SEGMENTATION_MEDIA_TYPE:
        return summarise(plate, SegmentationPrediction.from_bytes(data))
    if media_type == LANDMARKS_MEDIA_TYPE:
        return summarise(plate, parse_landmarks(data))
    raise ModelFailedError(f"the media type {media_type!r} of the response is neither segmentation nor landmarks")


def _to_error(plate: GoldenPlate, status: int, body: bytes) -> ModelUnavailableError | ModelFailedError:
    response = TorchServeError.from_response(status, body)
    # A 503 is retried even if the handler raised: this client may be waiting for a version that is being loaded.
    if response.is_worker_unavailable or response.is_unknown_version or status == HTTPStatus.SERVICE_UNAVAILABLE:
        return ModelUnavailableError(f"no worker is ready: {response}")
    return ModelFailedError(f"the model server failed on {plate.name}: {response}")
