"""Fake Kubernetes API server: objects in memory, over HTTP to the official Python client and to kubectl.

    with run_fake_kubernetes_api() as api:
        client.CoordinationV1Api(api.client()).create_namespaced_lease("plants", lease)

It implements discovery, create, read, list with label selectors, watch (replay from a resourceVersion, 410 Gone),
replace, merge patch, server-side apply with dry run, the status subresource of InferenceServices, and delete.
Tests read and write `api.objects` as a controller would.
"""

import copy
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import yaml
from kubernetes import client

from tests.support.fake_kubernetes_objects import ApiError, Json, Key, KubernetesObjects, Manager

KINDS = {
    "v1": ("ConfigMap", "Event", "Namespace", "Pod", "Secret", "Service", "ServiceAccount"),
    "apiextensions.k8s.io/v1": ("CustomResourceDefinition",),
    "apps/v1": ("Deployment",),
    "batch/v1": ("Job",),
    "coordination.k8s.io/v1": ("Lease",),
    "discovery.k8s.io/v1": ("EndpointSlice",),
    "gateway.networking.k8s.io/v1": ("Gateway",),
    "serving.kserve.io/v1beta1": ("InferenceService",),
}
"""The kinds of every server. `FakeKubernetesApi.add_kinds` adds others, as a CustomResourceDefinition would."""
_CLUSTER_SCOPED = {"Namespace", "CustomResourceDefinition"}
_WITH_STATUS = {"InferenceService"}
_VERBS = ["get", "list", "watch", "create", "update", "patch", "delete"]


@dataclass
class FakeKubernetesApi:
    """A running server."""

    port: int
    objects: KubernetesObjects = field(default_factory=KubernetesObjects)
    kinds: dict[str, set[str]] = field(default_factory=lambda: {group: set(kinds) for group, kinds in KINDS.items()})
    faults: deque[int] = field(default_factory=deque)
    """Statuses of the responses to the next requests, oldest first. 0 closes the connection without a response."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request, in order."""
    unreachable: threading.Event = field(default_factory=threading.Event)
    """While set, the server closes every connection without a response, watches included."""
    requires_namespaces: bool = False
    """True: server-side apply fails with 404 if the namespace does not exist."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> client.ApiClient:
        """Return an official client of this server."""
        configuration = client.Configuration()
        configuration.host = self.url
        return client.ApiClient(configuration)

    def disconnect(self) -> None:
        """Become unreachable. `unreachable.clear()` reverts it."""
        self.unreachable.set()
        with self.objects.changed:
            self.objects.changed.notify_all()

    def add_kinds(self, manifests: list[Json]) -> None:
        """Install the kinds of these objects."""
        for manifest in manifests:
            self.kinds.setdefault(manifest["apiVersion"], set()).add(manifest["kind"])

    def with_status(self, body: Json) -> Json:
        """Return an object as clients read it. Subclasses add the status that a controller would write."""
        return body


_Api = TypeVar("_Api", bound=FakeKubernetesApi)


@contextmanager
def run_fake_kubernetes_api() -> Iterator[FakeKubernetesApi]:
    """Run a server on a free port within the context."""
    with serve(FakeKubernetesApi) as api:
        yield api


@contextmanager
def serve(create_api: Callable[[int], _Api]) -> Iterator[_Api]:
    """Serve the API that is created for a free port, within the context."""
    server = _Server(("127.0.0.1", 0), _Handler)
    api = create_api(server.server_port)
    server.api = api
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.disconnect()
        server.shutdown()
        server.server_close()
        thread.join()


def pluralize(kind: str) -> str:
    """Return the plural of a kind in paths."""
    name = kind.lower()
    if name.endswith("y") and not name.endswith("ay"):
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith("s") else f"{name}s"


@dataclass(frozen=True)
class _Target:
    """The object or collection that a path names. `name` is empty for a collection."""

    api_version: str
    kind: str
    namespace: str
    name: str
    is_status: bool

    @property
    def plural(self) -> str:
        return pluralize(self.kind)

    @property
    def key(self) -> Key:
        return Key(self.plural, self.namespace, self.name)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: FakeKubernetesApi


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def api(self) -> FakeKubernetesApi:
        return self.server.api  # type: ignore[attr-defined,no-any-return]

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        self.api.requests.append((self.command, url.path))
        if self.api.unreachable.is_set():
            self.close_connection = True
            return
        try:
            if self.api.faults:
                self._fail(self.api.faults.popleft())
                return
            if (discovery := self._discover(url.path)) is not None:
                self._send(200, discovery)
                return
            target, query = self._parse_path(url.path), {n: values[-1] for n, values in parse_qs(url.query).items()}
            if self.command == "GET" and not target.name and query.get("watch") in ("true", "True", "1"):
                self._watch(target, query)
                return
            self._send(201 if self.command == "POST" else 200, self._execute(target, query, body))
        except ApiError as error:
            self._send(error.code, error.status)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def _fail(self, status: int) -> None:
        if not status:
            self.close_connection = True
            return
        raise ApiError(status, "InternalError", "a fault that the test injected")

    def _discover(self, path: str) -> Json | None:
        """Return the discovery document of a path, None if the path names objects."""
        match path.strip("/").split("/"):
            case ["version"]:
                return {"major": "1", "minor": "35", "gitVersion": "v1.35.0"}
            case ["api"]:
                return {"kind": "APIVersions", "versions": ["v1"]}
            case ["apis"]:
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": self._groups()}
            case ["api", "v1"]:
                return self._resources("v1")
            case ["apis", group, version]:
                return self._resources(f"{group}/{version}")
        return None

    def _groups(self) -> list[Json]:
        names = sorted(api_version.split("/") for api_version in self.api.kinds if "/" in api_version)
        return [
            {
                "name": group,
                "versions": [entry := {"groupVersion": f"{group}/{version}", "version": version}],
                "preferredVersion": entry,
            }
            for group, version in names
        ]

    def _resources(self, api_version: str) -> Json:
        resources = [
            {"name": pluralize(kind), "singularName": kind.lower(), "kind": kind, "verbs": _VERBS}
            | {"namespaced": kind not in _CLUSTER_SCOPED}
            for kind in sorted(self.api.kinds.get(api_version, ()))
        ]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": resources}

    def _parse_path(self, path: str) -> _Target:
        match path.strip("/").split("/"):
            case ["api", "v1", *rest]:
                api_version = "v1"
            case ["apis", group, version, *rest]:
                api_version = f"{group}/{version}"
            case _:
                rest, api_version = [], ""
        match rest:
            case ["namespaces", namespace, plural, *names]:
                pass
            case [plural, *names]:
                namespace = ""
            case _:
                plural, names, namespace = "", [], ""
        name, subresource, *_ = *names, "", ""
        kinds = {pluralize(kind): kind for kind in self.api.kinds.get(api_version, ())}
        kind = kinds.get(plural, "")
        if not kind or subresource not in ("", "status") or (subresource and kind not in _WITH_STATUS):
            raise ApiError(404, "NotFound", f"the server could not find the requested resource {path}")
        return _Target(api_version, kind, namespace, name, subresource == "status")

    def _execute(self, target: _Target, query: dict[str, str], data: bytes) -> Json:
        objects = _clone_objects(self.api.objects) if query.get("dryRun") == "All" else self.api.objects
        manager = (query.get("fieldManager") or self.headers.get("User-Agent", "unknown").split("/")[0], "Update")
        match self.command:
            case "GET" if target.name:
                return self.api.with_status(objects.get(target.key))
            case "GET":
                return self._list(objects, target, query)
            case "DELETE":
                deleted = objects.delete(target.key)
                if target.kind == "Namespace":
                    objects.delete_namespaced(target.name)
                return deleted
            case "POST":
                body = _with_type(target, json.loads(data))
                return objects.create(Key(target.plural, target.namespace, body["metadata"]["name"]), body, manager)
            case "PUT":
                return objects.replace(
                    target.key, _with_type(target, json.loads(data)), manager, status=target.is_status
                )
        return self._patch(objects, target, query, data, manager)

    def _list(self, objects: KubernetesObjects, target: _Target, query: dict[str, str]) -> Json:
        selector = dict(pair.split("=", 1) for pair in query.get("labelSelector", "").split(",") if pair)
        with objects.changed:
            bodies = [self.api.with_status(body) for body in objects.list(target.plural, target.namespace)]
            return {
                "apiVersion": target.api_version,
                "kind": f"{target.kind}List",
                "metadata": {"resourceVersion": str(objects.version)},
                "items": [body for body in bodies if selector.items() <= body["metadata"].get("labels", {}).items()],
            }

    def _patch(
        self, objects: KubernetesObjects, target: _Target, query: dict[str, str], data: bytes, manager: Manager
    ) -> Json:
        match self.headers.get_content_type():
            case "application/merge-patch+json":
                return objects.merge(target.key, json.loads(data), manager, status=target.is_status)
            case "application/apply-patch+yaml":
                if "fieldManager" not in query:
                    raise ApiError(400, "BadRequest", "fieldManager: Required value: is required for apply patch")
                if self.api.requires_namespaces and target.namespace:
                    objects.get(Key("namespaces", "", target.namespace))
                force = query.get("force") in ("true", "True")
                config = _with_type(target, yaml.safe_load(data))
                return self.api.with_status(objects.apply(target.key, config, query["fieldManager"], force=force))
        raise ApiError(415, "UnsupportedMediaType", f"{self.headers.get_content_type()} patches are not supported")

    def _watch(self, target: _Target, query: dict[str, str]) -> None:
        """Stream the changes after a version, one per chunk. Version 0 or none starts with the present objects."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._stream(target, query)
        if not self.api.unreachable.is_set():
            self.wfile.write(b"0\r\n\r\n")

    def _stream(self, target: _Target, query: dict[str, str]) -> None:
        objects = self.api.objects
        position = int(query.get("resourceVersion") or 0)
        with objects.changed:
            if position == 0:
                position = objects.version
                for body in objects.list(target.plural, target.namespace):
                    self._send_event("ADDED", body)
            elif position < objects.oldest:
                gone = ApiError(410, "Expired", f"too old resource version: {position} ({objects.oldest})")
                self._send_event("ERROR", gone.status)
                return
        while not self.api.unreachable.is_set():
            with objects.changed:
                new_events = [event for event in objects.events if event.version > position]
                if not new_events and not objects.changed.wait(float(query.get("timeoutSeconds", 300))):
                    return
                if position < objects.oldest and not new_events:
                    position = objects.version
            for event in new_events:
                position = event.version
                if (event.key.plural, event.key.namespace) == (target.plural, target.namespace):
                    self._send_event(event.kind, event.body)

    def _send_event(self, kind: str, body: Json) -> None:
        data = json.dumps({"type": kind, "object": body}).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _send(self, status: int, body: Json) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name in the standard library)
        """Log nothing. Tests read `requests`."""


def _with_type(target: _Target, body: Any) -> Json:
    """Return the object with its kind, which typed clients omit."""
    expected = {"apiVersion": target.api_version, "kind": target.kind}
    if not isinstance(body, dict) or any(body.get(name, value) != value for name, value in expected.items()):
        raise ApiError(400, "BadRequest", f"the object is not of type {expected}")
    name = body.get("metadata", {}).get("name")
    if not name or (target.name and name != target.name):
        raise ApiError(400, "BadRequest", f"the object is named {name!r}, but the path names {target.name!r}")
    return {**expected, **body}


def _clone_objects(objects: KubernetesObjects) -> KubernetesObjects:
    """Return a copy for a dry run."""
    with objects.changed:
        return KubernetesObjects(
            version=objects.version, _bodies=copy.deepcopy(objects._bodies), _fields=copy.deepcopy(objects._fields)
        )
