"""The release record as a namespace's InferenceServices, watched: what a `RecordFile` is on a laptop.

A thread lists and then watches, as controllers do: a change is known as soon as the API tells it. The list is read
anew every twenty seconds, so nothing that a watch lost stays lost. Where the API is away, what was known last holds.
"""

import logging
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from kubernetes import client, watch
from urllib3.exceptions import HTTPError

from thale.errors import ActuatorError, ModelUnavailableError
from thale.kserve import inference_service
from thale.schemas import Release, ReleaseRecord

logger = logging.getLogger(__name__)

_WATCH_S = 20
_CONNECT_S = 3.0
_LIST_S = 10.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0


class InferenceServices:
    """The releases of a namespace. Made by `following`."""

    def __init__(self, api: client.ApiClient, namespace: str, url_template: str) -> None:
        self._objects = client.CustomObjectsApi(api)
        self._place = (
            inference_service.GROUP,
            inference_service.API_VERSION,
            namespace,
            inference_service.PLURAL,
        )
        self._url_template = url_template
        self._releases: Mapping[str, Release] | None = None
        self._record: ReleaseRecord | None = None
        self._faults: dict[str, str] = {}
        self._watch = watch.Watch()  # type: ignore[no-untyped-call]
        self._closing = threading.Event()

    @classmethod
    @contextmanager
    def following(cls, api: client.ApiClient, namespace: str, url_template: str) -> Iterator[Self]:
        """Follow the namespace's releases for as long as the context lasts."""
        services = cls(api, namespace, url_template)
        thread = threading.Thread(target=services._follow, name="inference services", daemon=True)
        thread.start()
        try:
            yield services
        finally:
            services._closing.set()
            services._watch.stop()  # type: ignore[no-untyped-call]
            thread.join(_LIST_S)

    def current(self) -> ReleaseRecord:
        """Return what is released now: the same object for as long as nothing changes.

        Raises:
            ModelUnavailableError: If the API has not answered yet.
        """
        if self._record is None:
            raise ModelUnavailableError("no release is known yet: the Kubernetes API has not answered")
        return self._record

    def _follow(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._closing.is_set():
            try:
                version = self._list()
                pause_s = _FIRST_PAUSE_S
                self._follow_from(version)
            except (client.ApiException, HTTPError, OSError) as error:
                if self._closing.is_set():
                    return
                logger.warning("InferenceServices cannot be watched", extra={"error": _in_short(error)})
                self._closing.wait(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 (spreads the facades' questions)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _list(self) -> str:
        """Read all of them; return the version from which to watch."""
        told: Any = self._objects.list_namespaced_custom_object(*self._place, _request_timeout=(_CONNECT_S, _LIST_S))
        known = self._releases or {}
        found = {item["metadata"]["name"]: item for item in told["items"] if inference_service.is_release(item)}
        read = {name: self._read(item) or known.get(name) for name, item in found.items()}
        self._publish({name: release for name, release in read.items() if release is not None})
        return str(told["metadata"]["resourceVersion"])

    def _follow_from(self, version: str) -> None:
        """Take in the changes after a version, until it is time to list again."""
        changes = self._watch.stream(  # type: ignore[no-untyped-call]
            self._objects.list_namespaced_custom_object,
            *self._place,
            resource_version=version,
            timeout_seconds=_WATCH_S,
            _request_timeout=(_CONNECT_S, _WATCH_S + _LIST_S),
        )
        for change in changes:
            if self._closing.is_set():
                return
            self._take_in(change["type"], change["object"])

    def _take_in(self, kind: str, resource: inference_service.Resource) -> None:
        name = resource["metadata"]["name"]
        releases = dict(self._releases or {})
        if kind == "DELETED" or not inference_service.is_release(resource):
            releases.pop(name, None)
        elif (release := self._read(resource)) is not None:
            releases[name] = release
        self._publish(releases)

    def _read(self, resource: inference_service.Resource) -> Release | None:
        """Return the release, None where it cannot be understood: that is logged once, and what was known holds."""
        name = resource["metadata"]["name"]
        try:
            release = inference_service.read_release(resource, self._url_template)
        except ActuatorError as error:
            if self._faults.get(name) != str(error):
                logger.error("InferenceService cannot be read", extra={"model": name, "error": str(error)})
            self._faults[name] = str(error)
            return None
        self._faults.pop(name, None)
        return release

    def _publish(self, releases: Mapping[str, Release]) -> None:
        if releases == self._releases:
            return
        self._releases = releases
        self._record = ReleaseRecord(models=dict(releases))
        models = {
            name: {"stable": release.stable, "canary": release.canary, "percent": release.weight_percent}
            for name, release in releases.items()
        }
        logger.info("releases read", extra={"models": models})


def _in_short(error: Exception) -> str:
    return f"{error.status} {error.reason}" if isinstance(error, client.ApiException) else str(error)
