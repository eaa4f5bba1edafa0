"""Client of TorchServe's management API: load, scale, set as default, drain and unload versions of a model.

https://github.com/pytorch/serve/blob/v0.12.0/docs/management_api.md
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

import urllib3
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from thale.errors import TargetError
from thale.models.model_server_pool import open_pool
from thale.models.torchserve_errors import TorchServeError

logger = logging.getLogger(__name__)

_REQUEST_TIMEOUT_S = 10.0
_POLL_INTERVAL_S = 0.1
_MAX_CONNECTIONS = 4


class _ResponseModel(BaseModel):
    model_config = ConfigDict(protected_namespaces=(), frozen=True)


class _Worker(_ResponseModel):
    status: str


class LoadedVersion(_ResponseModel):
    """A version that TorchServe has loaded."""

    version: str = Field(alias="modelVersion")
    archive: str = Field(alias="modelUrl")
    """File name in TorchServe's model store."""
    min_workers: int = Field(alias="minWorkers")
    """Number of workers that TorchServe keeps running. 0 after a version was scaled down."""
    workers: tuple[_Worker, ...]

    @property
    def is_ready(self) -> bool:
        """True if the version has workers and all are ready."""
        return bool(self.workers) and all(worker.status == "READY" for worker in self.workers)


_VERSIONS = TypeAdapter(tuple[LoadedVersion, ...])


@dataclass(frozen=True)
class TorchServeClient:
    """Client of a TorchServe with an enabled model API, for use by several threads."""

    model_url: str
    management_url: str
    inference: urllib3.HTTPConnectionPool
    management: urllib3.HTTPConnectionPool

    @classmethod
    def from_urls(cls, model_url: str, management_url: str) -> "TorchServeClient":
        """Return a client for the addresses of the inference API and the management API: URLs or sockets."""
        pools = (open_pool(address, _MAX_CONNECTIONS) for address in (model_url, management_url))
        return cls(model_url, management_url, *pools)

    def versions(self, model: str) -> Mapping[str, LoadedVersion]:
        """Return the loaded versions of a model, empty if TorchServe does not have the model.

        Raises:
            TargetError: If TorchServe does not respond, or its response is not valid.
        """
        status, body = self._request_management("GET", f"/models/{model}/all")
        if status == HTTPStatus.NOT_FOUND:
            return {}
        if status != HTTPStatus.OK:
            raise TargetError(f"TorchServe cannot list the versions of {model}: {_describe_error(status, body)}")
        try:
            return {loaded.version: loaded for loaded in _VERSIONS.validate_json(body)}
        except ValidationError as error:
            raise TargetError(f"TorchServe's list of the versions of {model} is not valid: {error}") from error

    def load(self, model: str, version: str, archive: str, timeout_s: float) -> None:
        """Load a version and wait until all its workers are ready. It may already be loaded or loading.

        Args:
            model: The model's name.
            version: The version in the archive's manifest.
            archive: The archive's file name in TorchServe's model store.
            timeout_s: The maximum wait in seconds.

        Raises:
            TargetError: If the archive cannot be loaded, or its workers do not become ready.
        """
        deadline = time.monotonic() + timeout_s
        # Without `initial_workers`, TorchServe starts the number of workers in its configuration.
        query = urlencode({"url": archive, "model_name": model, "synchronous": "true"})
        status, body = self._request_management("POST", f"/models?{query}", timeout_s)
        if status not in (HTTPStatus.OK, HTTPStatus.CONFLICT):
            raise TargetError(
                f"{model} {version} cannot be loaded: {_describe_error(status, body)}; see TorchServe's log"
            )
        while True:
            loaded = self.versions(model).get(version)
            if loaded is None:
                raise TargetError(f"{archive} does not contain {model} {version}, or its workers do not start")
            if loaded.is_ready:
                return
            if time.monotonic() > deadline:
                raise TargetError(f"the workers of {model} {version} are not ready after {timeout_s:g} s")
            time.sleep(_POLL_INTERVAL_S)

    def scale(self, model: str, version: str, workers: int, timeout_s: float) -> None:
        """Set the number of workers of a loaded version, and wait until they are ready.

        Raises:
            TargetError: If the workers do not become ready.
        """
        query = urlencode({"min_worker": workers, "max_worker": workers, "synchronous": "true"})
        status, body = self._request_management("PUT", f"/models/{model}/{version}?{query}", timeout_s)
        if status != HTTPStatus.OK:
            raise TargetError(f"{model} {version} cannot have {workers} workers: {_describe_error(status, body)}")

    def set_default(self, model: str, version: str) -> None:
        """Make a version the default, which serves requests without a version.

        Raises:
            TargetError: If TorchServe does not have the version.
        """
        status, body = self._request_management("PUT", f"/models/{model}/{version}/set-default")
        if status != HTTPStatus.OK:
            raise TargetError(f"{model} {version} cannot become the default: {_describe_error(status, body)}")

    def drain(self, model: str, loaded: LoadedVersion, timeout_s: float) -> None:
        """Wait until a version has responded to all requests. No client may send new requests to it.

        TorchServe reports queued requests, but not requests in a worker, and it sends no response to the latter when
        the version is unloaded. A single worker responds in order, so the response to an empty request follows all
        others. With several workers that order does not hold, and the method waits for the whole timeout.
        """
        if len(loaded.workers) == 1:
            try:
                path = f"/predictions/{model}/{loaded.version}"
                _request(self.inference, "POST", path, timeout_s, self.model_url)
            except TargetError as error:
                logger.info("version not drained", extra={"model": model, "error": str(error)})
        elif loaded.workers:
            time.sleep(timeout_s)

    def unload(self, model: str, version: str, timeout_s: float) -> None:
        """Unload a version, if it is loaded.

        Raises:
            TargetError: If TorchServe fails to unload it.
        """
        status, body = self._request_management("DELETE", f"/models/{model}/{version}", timeout_s)
        if status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            raise TargetError(f"{model} {version} cannot be unloaded: {_describe_error(status, body)}")

    def _request_management(self, method: str, path: str, timeout_s: float = _REQUEST_TIMEOUT_S) -> tuple[int, bytes]:
        return _request(self.management, method, path, timeout_s, self.management_url)


def _request(
    pool: urllib3.HTTPConnectionPool, method: str, path: str, timeout_s: float, address: str
) -> tuple[int, bytes]:
    limits = urllib3.Timeout(connect=_REQUEST_TIMEOUT_S, read=timeout_s)
    try:
        response = pool.request(method, path, timeout=limits, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        raise TargetError(f"TorchServe does not respond at {address}: {error}") from error
    return response.status, response.data


def _describe_error(status: int, body: bytes) -> str:
    return str(TorchServeError.from_response(status, body))
