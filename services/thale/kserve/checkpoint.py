"""Checkpoint store of the rollout controller in a cluster: one ConfigMap."""

import logging
from http import HTTPStatus

from kubernetes.client import ApiClient, CoreV1Api, V1ConfigMap, V1ObjectMeta
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

logger = logging.getLogger(__name__)

KEY = "checkpoint.json"
"""Key of the checkpoint in the ConfigMap."""
_MANAGER = "thale-release-watch"
_REQUEST_TIMEOUT_S = 5.0


class ConfigMapCheckpointStore:
    """A checkpoint under one key of a ConfigMap. Only the leader writes it, without a version check."""

    def __init__(self, api: ApiClient, namespace: str, name: str) -> None:
        self._config_maps = CoreV1Api(api)
        self._namespace, self._name = namespace, name
        self._has_failed = False
        """True if the last access failed, which was logged."""

    def read(self) -> str | None:
        """Return the checkpoint, None if it is missing or cannot be read."""
        try:
            config_map = self._config_maps.read_namespaced_config_map(
                self._name, self._namespace, _request_timeout=_REQUEST_TIMEOUT_S
            )
        except (ApiException, HTTPError) as error:
            if not _is_not_found(error):
                self._log_failure("checkpoint read failed", error)
            return None
        self._has_failed = False
        return (config_map.data or {}).get(KEY)

    def write(self, text: str) -> None:
        """Write the checkpoint. The first call creates the ConfigMap."""
        metadata = V1ObjectMeta(name=self._name)
        body = V1ConfigMap(api_version="v1", kind="ConfigMap", metadata=metadata, data={KEY: text})
        try:
            self._config_maps.patch_namespaced_config_map(
                self._name,
                self._namespace,
                body,
                field_manager=_MANAGER,
                force=True,
                _content_type="application/apply-patch+yaml",
                _request_timeout=_REQUEST_TIMEOUT_S,
            )
            self._has_failed = False
        except (ApiException, HTTPError) as error:
            self._log_failure("checkpoint write failed", error)

    def _log_failure(self, message: str, error: Exception) -> None:
        """Log the first failure of a series. The controller reads and writes every few seconds."""
        if not self._has_failed:
            logger.warning(message, extra={"config_map": self._name, "error": str(error)})
        self._has_failed = True


def _is_not_found(error: Exception) -> bool:
    return isinstance(error, ApiException) and error.status == HTTPStatus.NOT_FOUND
