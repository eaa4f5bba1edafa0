"""TorchServe, as far as releases need it: versions of a model come, become the default, and go.

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

logger = logging.getLogger(__name__)

_REQUEST_TIMEOUT_S = 10.0
_POLL_INTERVAL_S = 0.1


class _ResponseModel(BaseModel):
    model_config = ConfigDict(protected_namespaces=(), frozen=True)


class _Worker(_ResponseModel):
    status: str


class LoadedVersion(_ResponseModel):
    """A version that TorchServe holds."""

    version: str = Field(alias="modelVersion")
    archive: str = Field(alias="modelUrl")
    """Its file's name in the model store."""
    workers: tuple[_Worker, ...]

    @property
    def is_ready(self) -> bool:
        """Whether it has workers, all of them ready."""
        return bool(self.workers) and all(worker.status == "READY" for worker in self.workers)


class _ErrorResponse(_ResponseModel):
    message: str


_VERSIONS = TypeAdapter(tuple[LoadedVersion, ...])


@dataclass(frozen=True)
class TorchServeClient:
    """A TorchServe whose model API is enabled. Threads may share it."""

    model_url: str
    management_url: str
    pool: urllib3.PoolManager

    @classmethod
    def from_urls(cls, model_url: str, management_url: str) -> "TorchServeClient":
        """Return the one that is asked at the first address and managed at the second."""
        return cls(model_url.rstrip("/"), management_url.rstrip("/"), urllib3.PoolManager(maxsize=4, retries=False))

    def versions(self, model: str) -> Mapping[str, LoadedVersion]:
        """Return what is loaded of a model; nothing where TorchServe does not know it.

        Raises:
            TargetError: If TorchServe does not answer, or not so that it can be understood.
        """
        status, body = self._request_management("GET", f"/models/{model}/all")
        if status == HTTPStatus.NOT_FOUND:
            return {}
        if status != HTTPStatus.OK:
            raise TargetError(f"TorchServe does not tell the versions of {model}: {_describe_error(status, body)}")
        try:
            return {loaded.version: loaded for loaded in _VERSIONS.validate_json(body)}
        except ValidationError as error:
            raise TargetError(f"TorchServe's answer about {model} is not understood: {error}") from error

    def load(self, model: str, version: str, archive: str, timeout_s: float) -> None:
        """Load a version and return when all its workers are ready; one that is loaded or loading is waited for.

        Args:
            model: The model's name.
            version: The version that the archive's manifest names.
            archive: The archive's file name in the model store.
            limit_s: The longest to wait.

        Raises:
            TargetError: If the archive cannot be loaded, or its workers do not get ready.
        """
        deadline = time.monotonic() + timeout_s
        # The number of workers is not said: TorchServe takes what it was told to give every model.
        query = urlencode({"url": archive, "model_name": model, "synchronous": "true"})
        status, body = self._request_management("POST", f"/models?{query}", timeout_s)
        if status not in (HTTPStatus.OK, HTTPStatus.CONFLICT):
            raise TargetError(
                f"{model} {version} cannot be loaded: {_describe_error(status, body)}; the server's log says more"
            )
        while True:
            loaded = self.versions(model).get(version)
            if loaded is None:
                raise TargetError(f"{archive} holds no version {version} of {model}, or its workers do not start")
            if loaded.is_ready:
                return
            if time.monotonic() > deadline:
                raise TargetError(f"the workers of {model} {version} are not ready after {timeout_s:g} s")
            time.sleep(_POLL_INTERVAL_S)

    def set_default(self, model: str, version: str) -> None:
        """Have a version answer those who name none.

        Raises:
            TargetError: If TorchServe does not have it.
        """
        status, body = self._request_management("PUT", f"/models/{model}/{version}/set-default")
        if status != HTTPStatus.OK:
            raise TargetError(f"{model} {version} cannot become the default: {_describe_error(status, body)}")

    def drain(self, model: str, loaded: LoadedVersion, timeout_s: float) -> None:
        """Wait until a version has answered what it was asked so far. Nobody may be asking it any more.

        TorchServe tells what waits for a worker, not what a worker is at, and forgets to answer what is at work when
        the version goes. But a single worker answers in order: once it refuses an empty question, all is answered.
        Of several workers one may still be at work then, so they get all of the time.
        """
        if len(loaded.workers) == 1:
            try:
                self._request("POST", f"{self.model_url}/predictions/{model}/{loaded.version}", timeout_s)
            except TargetError as error:
                logger.info("version not drained", extra={"model": model, "error": str(error)})
        elif loaded.workers:
            time.sleep(timeout_s)

    def unload(self, model: str, version: str, timeout_s: float) -> None:
        """Unload a version; one that is not loaded is no fault.

        Raises:
            TargetError: If it stays.
        """
        status, body = self._request_management("DELETE", f"/models/{model}/{version}", timeout_s)
        if status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            raise TargetError(f"{model} {version} cannot be unloaded: {_describe_error(status, body)}")

    def _request_management(self, method: str, path: str, timeout_s: float = _REQUEST_TIMEOUT_S) -> tuple[int, bytes]:
        return self._request(method, self.management_url + path, timeout_s)

    def _request(self, method: str, url: str, timeout_s: float) -> tuple[int, bytes]:
        limits = urllib3.Timeout(connect=_REQUEST_TIMEOUT_S, read=timeout_s)
        try:
            response = self.pool.request(method, url, timeout=limits, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise TargetError(f"TorchServe does not answer at {url}: {error}") from error
        return response.status, response.data


def _describe_error(status: int, body: bytes) -> str:
    try:
        return f"{_ErrorResponse.model_validate_json(body).message} (status {status})"
    except ValidationError:
        return f"status {status}"
