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

from thale.errors import ActuatorError

logger = logging.getLogger(__name__)

_ASK_TIMEOUT_S = 10.0
_LOOK_AGAIN_S = 0.1


class _Told(BaseModel):
    model_config = ConfigDict(protected_namespaces=(), frozen=True)


class _Worker(_Told):
    status: str


class LoadedVersion(_Told):
    """A version that TorchServe holds."""

    version: str = Field(alias="modelVersion")
    archive: str = Field(alias="modelUrl")
    """Its file's name in the model store."""
    workers: tuple[_Worker, ...]

    @property
    def ready(self) -> bool:
        """Whether it has workers, all of them ready."""
        return bool(self.workers) and all(worker.status == "READY" for worker in self.workers)


class _Refusal(_Told):
    message: str


_VERSIONS = TypeAdapter(tuple[LoadedVersion, ...])


@dataclass(frozen=True)
class TorchServe:
    """A TorchServe whose model API is enabled. Threads may share it."""

    model_url: str
    management_url: str
    pool: urllib3.PoolManager

    @classmethod
    def at(cls, model_url: str, management_url: str) -> "TorchServe":
        """Return the one that is asked at the first address and managed at the second."""
        return cls(model_url.rstrip("/"), management_url.rstrip("/"), urllib3.PoolManager(maxsize=4, retries=False))

    def versions(self, model: str) -> Mapping[str, LoadedVersion]:
        """Return what is loaded of a model; nothing where TorchServe does not know it.

        Raises:
            ActuatorError: If TorchServe does not answer, or not so that it can be understood.
        """
        status, body = self._ask("GET", f"/models/{model}/all")
        if status == HTTPStatus.NOT_FOUND:
            return {}
        if status != HTTPStatus.OK:
            raise ActuatorError(f"TorchServe does not tell the versions of {model}: {_why(status, body)}")
        try:
            return {loaded.version: loaded for loaded in _VERSIONS.validate_json(body)}
        except ValidationError as error:
            raise ActuatorError(f"TorchServe's answer about {model} is not understood: {error}") from error

    def load(self, model: str, version: str, archive: str, limit_s: float) -> None:
        """Load a version and return when all its workers are ready; one that is loaded or loading is waited for.

        Args:
            model: The model's name.
            version: The version that the archive's manifest names.
            archive: The archive's file name in the model store.
            limit_s: The longest to wait.

        Raises:
            ActuatorError: If the archive cannot be loaded, or its workers do not get ready.
        """
        until = time.monotonic() + limit_s
        # The number of workers is not said: TorchServe takes what it was told to give every model.
        query = urlencode({"url": archive, "model_name": model, "synchronous": "true"})
        status, body = self._ask("POST", f"/models?{query}", limit_s)
        if status not in (HTTPStatus.OK, HTTPStatus.CONFLICT):
            raise ActuatorError(f"{model} {version} cannot be loaded: {_why(status, body)}; the server's log says more")
        while True:
            loaded = self.versions(model).get(version)
            if loaded is None:
                raise ActuatorError(f"{archive} holds no version {version} of {model}, or its workers do not start")
            if loaded.ready:
                return
            if time.monotonic() > until:
                raise ActuatorError(f"the workers of {model} {version} are not ready after {limit_s:g} s")
            time.sleep(_LOOK_AGAIN_S)

    def set_default(self, model: str, version: str) -> None:
        """Have a version answer those who name none.

        Raises:
            ActuatorError: If TorchServe does not have it.
        """
        status, body = self._ask("PUT", f"/models/{model}/{version}/set-default")
        if status != HTTPStatus.OK:
            raise ActuatorError(f"{model} {version} cannot become the default: {_why(status, body)}")

    def drain(self, model: str, loaded: LoadedVersion, limit_s: float) -> None:
        """Wait until a version has answered what it was asked so far. Nobody may be asking it any more.

        TorchServe tells what waits for a worker, not what a worker is at, and forgets to answer what is at work when
        the version goes. But a single worker answers in order: once it refuses an empty question, all is answered.
        Of several workers one may still be at work then, so they get all of the time.
        """
        if len(loaded.workers) == 1:
            try:
                self._request("POST", f"{self.model_url}/predictions/{model}/{loaded.version}", limit_s)
            except ActuatorError as error:
                logger.info("version not drained", extra={"model": model, "error": str(error)})
        elif loaded.workers:
            time.sleep(limit_s)

    def unload(self, model: str, version: str, limit_s: float) -> None:
        """Unload a version; one that is not loaded is no fault.

        Raises:
            ActuatorError: If it stays.
        """
        status, body = self._ask("DELETE", f"/models/{model}/{version}", limit_s)
        if status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            raise ActuatorError(f"{model} {version} cannot be unloaded: {_why(status, body)}")

    def _ask(self, method: str, path: str, limit_s: float = _ASK_TIMEOUT_S) -> tuple[int, bytes]:
        return self._request(method, self.management_url + path, limit_s)

    def _request(self, method: str, url: str, limit_s: float) -> tuple[int, bytes]:
        timeout = urllib3.Timeout(connect=_ASK_TIMEOUT_S, read=limit_s)
        try:
            answer = self.pool.request(method, url, timeout=timeout, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise ActuatorError(f"TorchServe does not answer at {url}: {error}") from error
        return answer.status, answer.data


def _why(status: int, body: bytes) -> str:
    try:
        return f"{_Refusal.model_validate_json(body).message} (status {status})"
    except ValidationError:
        return f"status {status}"
