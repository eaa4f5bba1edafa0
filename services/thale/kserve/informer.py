"""Informer for the InferenceServices of a namespace: the releases in a cluster, as facade and controller read them.

A thread lists and then watches, as controllers do, so that a change arrives at once. It lists again at a constant
interval, which repairs missed events. While the API is unreachable, the last known release state stays valid.
"""

import logging
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from kubernetes import client, watch
from urllib3.exceptions import HTTPError

from thale.errors import ModelUnavailableError, TargetError
from thale.kserve import inference_service
from thale.schemas import Release, ReleaseState

logger = logging.getLogger(__name__)

RESYNC_PERIOD_S = 20
_CONNECT_TIMEOUT_S = 3.0
_LIST_TIMEOUT_S = 10.0
_MIN_BACKOFF_S = 0.2
_MAX_BACKOFF_S = 5.0


class InferenceServiceInformer:
    """The releases of a namespace. `running` creates it."""

    def __init__(
        self, api: client.ApiClient, namespace: str, url_template: str, resync_period_s: int = RESYNC_PERIOD_S
    ) -> None:
        self._resync_period_s = resync_period_s
        self._has_listed = threading.Event()
        self._objects = client.CustomObjectsApi(api)
        self._collection = (
            inference_service.GROUP,
            inference_service.API_VERSION,
            namespace,
            inference_service.PLURAL,
        )
        self._url_template = url_template
        self._releases: Mapping[str, Release] | None = None
        self._release_state: ReleaseState | None = None
        self._parse_errors: dict[str, str] = {}
        self._watch = watch.Watch()  # type: ignore[no-untyped-call]
        self._stopping = threading.Event()

    @classmethod
    @contextmanager
    def running(
        cls, api: client.ApiClient, namespace: str, url_template: str, resync_period_s: int = RESYNC_PERIOD_S
    ) -> Iterator[Self]:
        """Watch the releases of a namespace within the context."""
        informer = cls(api, namespace, url_template, resync_period_s)
        thread = threading.Thread(target=informer._run, name="inference services", daemon=True)
        thread.start()
        try:
            yield informer
        finally:
            informer._stopping.set()
            informer._watch.stop()  # type: ignore[no-untyped-call]
            thread.join(_LIST_TIMEOUT_S)

    def wait_for_first_list(self, timeout_s: float) -> None:
        """Wait until the releases are known, or until the timeout."""
        self._has_listed.wait(timeout_s)

    def current(self) -> ReleaseState:
        """Return the present release state. It is the same object until a release changes.

        Raises:
            ModelUnavailableError: If the API has not responded yet.
        """
        if self._release_state is None:
            raise ModelUnavailableError("no release is known yet: the Kubernetes API has not responded")
        return self._release_state

    def _run(self) -> None:
        backoff_s = _MIN_BACKOFF_S
        while not self._stopping.is_set():
            try:
                resource_version = self._list()
                backoff_s = _MIN_BACKOFF_S
                self._watch_from(resource_version)
            except (client.ApiException, HTTPError, OSError) as error:
                if self._stopping.is_set():
                    return
                logger.warning("InferenceService watch failed", extra={"error": _summarize_error(error)})
                self._stopping.wait(backoff_s * random.uniform(0.5, 1.5))  # noqa: S311 (jitter)
                backoff_s = min(2 * backoff_s, _MAX_BACKOFF_S)

    def _list(self) -> str:
        """Read all InferenceServices and return the resourceVersion from which to watch."""
        response: Any = self._objects.list_namespaced_custom_object(
            *self._collection, _request_timeout=(_CONNECT_TIMEOUT_S, _LIST_TIMEOUT_S)
        )
        previous = self._releases or {}
        resources = {item["metadata"]["name"]: item for item in response["items"] if inference_service.is_release(item)}
        parsed_releases = {name: self._parse_release(item) or previous.get(name) for name, item in resources.items()}
        self._publish({name: release for name, release in parsed_releases.items() if release is not None})
        self._has_listed.set()
        return str(response["metadata"]["resourceVersion"])

    def _watch_from(self, resource_version: str) -> None:
        """Apply the changes after a resourceVersion, until the next list is due."""
        events = self._watch.stream(  # type: ignore[no-untyped-call]
            self._objects.list_namespaced_custom_object,
            *self._collection,
            resource_version=resource_version,
            timeout_seconds=self._resync_period_s,
            _request_timeout=(_CONNECT_TIMEOUT_S, self._resync_period_s + _LIST_TIMEOUT_S),
        )
        for event in events:
            if self._stopping.is_set():
                return
            self._apply_event(event["type"], event["object"])

    def _apply_event(self, event_type: str, resource: inference_service.Resource) -> None:
        name = resource["metadata"]["name"]
        releases = dict(self._releases or {})
        if event_type == "DELETED" or not inference_service.is_release(resource):
            releases.pop(name, None)
        elif (release := self._parse_release(resource)) is not None:
            releases[name] = release
        self._publish(releases)

    def _parse_release(self, resource: inference_service.Resource) -> Release | None:
        """Return the release, None if it is not valid. Each new error is logged once."""
        name = resource["metadata"]["name"]
        try:
            release = inference_service.release_from_resource(resource, self._url_template)
        except TargetError as error:
            if self._parse_errors.get(name) != str(error):
                logger.error("InferenceService invalid", extra={"model": name, "error": str(error)})
            self._parse_errors[name] = str(error)
            return None
        self._parse_errors.pop(name, None)
        return release

    def _publish(self, releases: Mapping[str, Release]) -> None:
        if releases == self._releases:
            return
        self._releases = releases
        self._release_state = ReleaseState(models=dict(releases))
        models = {
            name: {"stable": release.stable, "canary": release.canary, "percent": release.weight_percent}
            for name, release in releases.items()
        }
        logger.info("release state loaded", extra={"models": models})


def _summarize_error(error: Exception) -> str:
    return f"{error.status} {error.reason}" if isinstance(error, client.ApiException) else str(error)
