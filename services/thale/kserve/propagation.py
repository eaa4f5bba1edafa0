"""KServe's list of annotations that it does not copy into pod templates.

KServe copies the annotations of an InferenceService into the pod templates of all its predictors, except those in
`serviceAnnotationDisallowedList` of the key `inferenceService` in its ConfigMap. It reads the ConfigMap at each
reconciliation and compares whole keys. A change of any other annotation restarts all predictors (ADR 0101).
"""

import json
import logging
from http import HTTPStatus

from kubernetes.client import ApiClient, CoreV1Api
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from thale.errors import TargetError
from thale.kserve.inference_service import ANNOTATION_KEYS

logger = logging.getLogger(__name__)

CONFIG_NAMESPACE, CONFIG_NAME = "kserve", "inferenceservice-config"
CONFIG_KEY, LIST_FIELD = "inferenceService", "serviceAnnotationDisallowedList"
_REQUEST_TIMEOUT_S = 5.0


class PropagationCheck:
    """Check that KServe does not copy the annotations of releases into pod templates.

    `deploy.addons.kserve_config` adds the annotations to the list, without the Kubernetes client.
    """

    def __init__(self, api: ApiClient) -> None:
        self._config_maps = CoreV1Api(api)
        self._has_warned = False

    def require(self) -> None:
        """Check the ConfigMap before a change of a release.

        Without the right to read it, the check is skipped with one warning.

        Raises:
            TargetError: If the change would restart all predictors.
        """
        missing = self.missing_keys()
        if missing:
            raise TargetError(
                f"the change would restart every predictor, because KServe copies {', '.join(missing)} into pod "
                f"templates: run `python -m deploy platform --env ENV`, which adds them to "
                f"{LIST_FIELD} in the ConfigMap {CONFIG_NAMESPACE}/{CONFIG_NAME}"
            )

    def warn(self) -> None:
        """Log a warning if the change restarts all predictors, for a change that must not be refused."""
        missing = self.missing_keys()
        if missing:
            logger.warning("KServe restarts all predictors", extra={"annotations": list(missing)})

    def missing_keys(self) -> tuple[str, ...]:
        """Return the annotations of releases that KServe would copy. Empty if the ConfigMap cannot be read."""
        try:
            config_map = self._config_maps.read_namespaced_config_map(
                CONFIG_NAME, CONFIG_NAMESPACE, _request_timeout=_REQUEST_TIMEOUT_S
            )
        except (ApiException, HTTPError) as error:
            self._warn_once(error)
            return ()
        try:
            listed = json.loads((config_map.data or {}).get(CONFIG_KEY, "{}")).get(LIST_FIELD) or ()
        except (AttributeError, json.JSONDecodeError) as error:
            self._warn_once(error)
            return ()
        return tuple(key for key in ANNOTATION_KEYS if key not in listed)

    def _warn_once(self, error: Exception) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        reason = str(error)
        if isinstance(error, ApiException):
            reason = f"{error.status} {error.reason}"
            if error.status == HTTPStatus.FORBIDDEN:
                reason += f": grant `get` on the ConfigMap {CONFIG_NAMESPACE}/{CONFIG_NAME}"
            elif error.status == HTTPStatus.NOT_FOUND:
                reason += f": install KServe in the namespace {CONFIG_NAMESPACE}"
        logger.warning("KServe's configuration cannot be read, so restarts are not excluded", extra={"error": reason})
