"""Client of a thale server: responses as Python objects, errors as Python exceptions.

>>> with Client("http://127.0.0.1:8080") as client:  # doctest: +SKIP
...     phenotype = client.phenotype("plate.jpg", plate_width_mm=120)
"""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Literal, Self, TypedDict, Unpack
from urllib.parse import urlencode, urlsplit

import urllib3
from pydantic import TypeAdapter, ValidationError

from thale.client.experiments import ExperimentsClient
from thale.client.responses import parse_response
from thale.errors import (
    MissingPackageError,
    ParameterError,
    ServerUnreachableError,
    ThaleError,
    UnexpectedResponseError,
    describe_missing_package,
    error_class,
)
from thale.host.loopback import is_loopback
from thale.schemas import ModelInfo, Phenotype, Problem
from thale.series.schemas import SeriesItem, SeriesRequest, SeriesResult

if TYPE_CHECKING:
    from thale.models.predictions import LandmarkPrediction, SegmentationPrediction

DEFAULT_URL = "http://127.0.0.1:8080"
API_KEY_VARIABLE = "THALE_API_KEY"
"""Environment variable with the API key or the access token. A command-line option would be visible to other users."""
Image = bytes | str | os.PathLike[str]
_MODELS_ADAPTER = TypeAdapter(tuple[ModelInfo, ...])
_MAX_RETRY_AFTER_S = 60
_MAX_BACKOFF_S = 10


class Parameters(TypedDict, total=False):
    """Parameters of a request: the scale of the image or the width of its plate, the experiment, and the model."""

    mm_per_px: float | None
    plate_width_mm: float | None
    experiment: str | None
    model: str | None
    """Model name, or `name@version` to pin a version."""
    expected_plants: int | None
    rotate: int | None
    """Clockwise turn in degrees (90, 180, 270) that brings the shoots to the top. For measurements only."""
    strict: bool | None
    """True: an image that may not show an upright square plate raises DoubtfulImageError. For measurements only."""
    page: int | None
    """Page of a TIFF with several pages, counted from 0."""
    timeout_s: float | None
    """Maximum seconds to the response, up to the server's limit."""
    name: str | None
    """Image name in the response. The default is the file name of a path."""


class _BoundedRetry(urllib3.Retry):
    """Retries of a request, unless the server demands a longer wait than `retry_after_max`.

    urllib3 shortens such a wait, and the request would fail again: a daily budget is new after hours.
    """

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: urllib3.BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: urllib3.connectionpool.ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        """Return the retries that are left.

        Raises:
            MaxRetryError: If the request must not be retried.
        """
        if response is not None and _pool is not None:
            retry_after = response.headers.get("Retry-After", "").strip()
            if retry_after.isdecimal() and float(retry_after) > self.retry_after_max:
                raise urllib3.exceptions.MaxRetryError(_pool, url or "")
        return super().increment(method, url, response, error, _pool, _stacktrace)


class Client:
    """Connection pool to one server. Safe for use by several threads.

    An image is a path or its bytes. The client streams a path from disk. It retries up to `retries` times if the server
    is overloaded or restarting, or if a limit of the caller is reached, with exponential backoff or after the server's
    Retry-After of up to a minute. A problem response is raised as the class in `thale.errors` with its code, and
    carries the request id. The API key, or an access token of Entra ID, is an argument or the environment variable
    THALE_API_KEY. The client follows no redirects, so no other server receives it.
    """

    def __init__(
        self, url: str = DEFAULT_URL, timeout_s: float = 120.0, retries: int = 3, *, api_key: str | None = None
    ) -> None:
        self.url = url.rstrip("/")
        credential = (os.environ.get(API_KEY_VARIABLE, "") if api_key is None else api_key).strip()
        if not credential.isascii() or not credential.isprintable():
            raise ParameterError(f"the API key contains invalid characters: check {API_KEY_VARIABLE}")
        if credential and _is_readable_in_transit(self.url):
            warnings.warn(
                f"the API key is sent to {self.url} without encryption: use the server's https address", stacklevel=2
            )
        self._authorization = {"Authorization": f"Bearer {credential}"} if credential else {}
        self._pool = urllib3.PoolManager(
            maxsize=8,
            timeout=urllib3.Timeout(connect=5.0, read=timeout_s),
            retries=_BoundedRetry(
                total=retries,
                read=min(retries, 1),
                redirect=0,
                status_forcelist=(429, 502, 503),
                allowed_methods=None,  # inference is idempotent, so POST is retried too
                backoff_factor=0.5,
                backoff_max=_MAX_BACKOFF_S,
                retry_after_max=_MAX_RETRY_AFTER_S,
                raise_on_status=False,
            ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def phenotype(self, image: Image, **parameters: Unpack[Parameters]) -> Phenotype:
        """Measure an image and return its plants with organs, landmarks, roots and traits.

        Raises:
            ThaleError: The class with the code of the problem response, or a ServerError.
            OSError: If the file cannot be read.
        """
        return parse_response(Phenotype, self._post("/v1/phenotype", image, parameters, "application/json"))

    def overlay(self, image: Image, **parameters: Unpack[Parameters]) -> bytes:
        """Measure an image and return a PNG of it with the results drawn on top. Raises as `phenotype` does."""
        return self._post("/v1/phenotype", image, parameters, "image/png")

    def rsml(self, image: Image, **parameters: Unpack[Parameters]) -> bytes:
        """Measure an image and return its root systems as RSML. Raises as `phenotype` does."""
        return self._post("/v1/phenotype", image, parameters, "application/rsml+xml")

    def plantcv(self, image: Image, **parameters: Unpack[Parameters]) -> bytes:
        """Measure an image and return its traits as JSON for `plantcv-utils json2csv`. Raises as `phenotype` does."""
        return self._post("/v1/phenotype", image, parameters, "application/vnd.plantcv+json")

    def csv(self, image: Image, *, table: Literal["long", "wide"] = "long", **parameters: Unpack[Parameters]) -> str:
        """Measure an image and return its traits as a table, one row per trait (long) or per plant (wide).

        Raises as `phenotype` does.
        """
        return self._post("/v1/phenotype", image, parameters, "text/csv", table=table).decode()

    def segment(self, image: Image, **parameters: Unpack[Parameters]) -> "SegmentationPrediction":
        """Return the probability maps of an image, one per organ.

        Raises:
            MissingPackageError: If the packages of `thale[server]` are not installed. Otherwise as `phenotype`.
        """
        with _server_packages():
            from thale.models.predictions import SegmentationPrediction

        data = self._post("/v1/segment", image, parameters, "application/x-npz")
        return SegmentationPrediction.from_bytes(data)

    def landmarks(self, image: Image, **parameters: Unpack[Parameters]) -> "LandmarkPrediction":
        """Return the landmarks of an image. Raises as `segment` does."""
        with _server_packages():
            from thale.models.predictions import LandmarkPrediction

        return parse_response(LandmarkPrediction, self._post("/v1/landmarks", image, parameters, "application/json"))

    def series(
        self,
        photographs: Iterable[Phenotype | SeriesItem],
        *,
        time_zone: str | None = None,
        time_of_day: str | None = None,
    ) -> SeriesResult:
        """Follow the same plants on phenotypes that were measured before, and return their growth.

        Args:
            photographs: Phenotypes whose file names have a date, or items with an explicit time or plate.
            time_zone: Time zone of times without an offset, such as Europe/Amsterdam.
            time_of_day: Time of photographs that have only a date, such as 10:30.

        Raises:
            ParameterError: If a time or a plate cannot be found.
            ThaleError: As `phenotype`.
        """
        items = tuple(item if isinstance(item, SeriesItem) else SeriesItem(phenotype=item) for item in photographs)
        body = SeriesRequest(photographs=items, time_zone=time_zone, time_of_day=time_of_day).model_dump_json().encode()
        headers = {"Content-Type": "application/json"}
        return parse_response(
            SeriesResult, self._request("POST", "/v1/series", "application/json", body=body, headers=headers).data
        )

    @property
    def experiments(self) -> ExperimentsClient:
        """Experiments, measurements and jobs of the server."""
        return ExperimentsClient(self)

    def models(self) -> tuple[ModelInfo, ...]:
        """Return the models of the server, with their versions and traffic.

        Raises:
            ServerError: If the server is unreachable, or its response is not thale's.
        """
        data = self._request("GET", "/v1/models", "application/json").data
        try:
            return _MODELS_ADAPTER.validate_json(data, extra="ignore")
        except ValidationError as error:
            raise UnexpectedResponseError(f"the model list of {self.url} is invalid: {error}") from error

    def is_ready(self) -> bool:
        """Return True if the server responds and each served model has a worker. Takes up to 2 s and never raises."""
        try:
            response = self._pool.request("GET", f"{self.url}/health/ready", timeout=2.0, retries=False)
        except urllib3.exceptions.HTTPError:
            return False
        return response.status == 200

    def _post(self, path: str, image: Image, parameters: Parameters, accept: str, **options: str) -> bytes:
        query = {key: _format_parameter(value) for key, value in parameters.items() if value is not None} | options
        if not isinstance(image, bytes):
            # Bytes of a name in another encoding than UTF-8 are replaced: a query contains text.
            query.setdefault("name", os.fsencode(Path(image).name).decode(errors="replace"))
        with _open_body(image) as (body, length):
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
            return self._request("POST", path, accept, query=query, body=body, headers=headers).data

    def _request(
        self,
        method: str,
        path: str,
        accept: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        address = f"{self.url}{path}"
        if query:
            address = f"{address}?{urlencode(query)}"
        try:
            response = self._pool.request(
                method, address, body=body, headers={"Accept": accept, **self._authorization, **(headers or {})}
            )
        except urllib3.exceptions.HTTPError as error:
            cause = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
            raise ServerUnreachableError(
                f"no response from {self.url} ({cause}): start a server with `thale up`, or pass the address of one"
            ) from error
        if response.status != 200:
            raise _problem_to_error(response)
        return response


@contextmanager
def _server_packages() -> Iterator[None]:
    """Raise `MissingPackageError` for an import of NumPy, which no other method needs."""
    try:
        yield
    except ModuleNotFoundError as error:
        remedy = describe_missing_package(error)
        if remedy is None:
            raise
        raise MissingPackageError(remedy) from error


def _format_parameter(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextmanager
def _open_body(image: Image) -> Iterator[tuple[bytes | IO[bytes], int]]:
    """Yield the bytes of an image, or its open file, and the length in bytes."""
    if isinstance(image, bytes):
        yield image, len(image)
        return
    path = Path(image)
    with path.open("rb") as file:
        yield file, path.stat().st_size


def _problem_to_error(response: urllib3.BaseHTTPResponse) -> ThaleError:
    """Return the error of a problem document."""
    try:
        problem = Problem.model_validate_json(response.data)
    except ValidationError:
        text = response.data[:200].decode(errors="replace")
        return UnexpectedResponseError(f"the server returned {response.status} without a problem document: {text!r}")
    error_type = error_class(problem.type.replace(":", "/").rsplit("/", 1)[-1]) or UnexpectedResponseError
    error = error_type.from_message(problem.detail)
    error.request_id = problem.request_id
    return error


def _is_readable_in_transit(url: str) -> bool:
    """Return True if other machines can read what is sent to this address."""
    address = urlsplit(url)
    return address.scheme == "http" and not is_loopback(address.hostname or "")
