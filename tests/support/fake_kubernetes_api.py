"""A Kubernetes API server for tests: InferenceServices, Leases, ConfigMaps in memory, over HTTP to the official client.

    with running_kube_api() as api:
        client.CoordinationV1Api(api.client()).create_namespaced_lease("plants", lease)

It speaks create, read, list, watch (replay from a resourceVersion, 410 Gone), replace, merge patch, server-side apply,
the status subresource and delete. `api.objects` is what it holds; tests may look and write there as a controller would.
"""

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import yaml
from kubernetes import client

from tests.support.fake_kubernetes_objects import ApiError, Json, Key, Manager, ObjectStore

KINDS = {
    ("serving.kserve.io/v1beta1", "inferenceservices"): "InferenceService",
    ("coordination.k8s.io/v1", "leases"): "Lease",
    ("v1", "configmaps"): "ConfigMap",
}
_WITH_STATUS = "inferenceservices"


@dataclass
class FakeKubernetesApi:
    """A running server. `faults` are statuses that the next requests are answered with, oldest first; 0 hangs up."""

    port: int
    objects: ObjectStore = field(default_factory=ObjectStore)
    faults: deque[int] = field(default_factory=deque)
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of everything that was asked, in order."""
    unreachable: threading.Event = field(default_factory=threading.Event)
    """While set, every request is hung up on, watches included."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> client.ApiClient:
        """Return an official client of this server."""
        configuration = client.Configuration()
        configuration.host = self.url
        return client.ApiClient(configuration)

    def disconnect(self) -> None:
        """Be away from now on; `away.clear()` comes back."""
        self.unreachable.set()
        with self.objects.changed:
            self.objects.changed.notify_all()


@contextmanager
def run_fake_kubernetes_api() -> Iterator[FakeKubernetesApi]:
    """Run a server on a free port for as long as the context lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    api = FakeKubernetesApi(server.server_address[1])
    _Handler.apis[api.port] = api
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.disconnect()
        server.shutdown()
        server.server_close()
        thread.join()
        del _Handler.apis[api.port]


@dataclass(frozen=True)
class _Target:
    """What a path means; name is empty for the whole collection."""

    api_version: str
    plural: str
    namespace: str
    name: str
    status: bool

    @classmethod
    def parse(cls, path: str) -> "_Target":
        group_version, _, rest_of_path = path.removeprefix("/apis/").removeprefix("/api/").partition("/namespaces/")
        match rest_of_path.split("/"):
            case [namespace, plural, *rest]:
                name, subresource, *_ = *rest, "", ""
                target = cls(group_version, plural, namespace, name, subresource == "status")
                known = (target.api_version, plural) in KINDS and subresource in ("", "status")
                if known and (plural == _WITH_STATUS or not subresource):
                    return target
        raise ApiError(404, "NotFound", "the server could not find the requested resource")

    @property
    def kind(self) -> str:
        return KINDS[self.api_version, self.plural]

    @property
    def key(self) -> Key:
        return Key(self.plural, self.namespace, self.name)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    apis: ClassVar[dict[int, FakeKubernetesApi]] = {}

    @property
    def api(self) -> FakeKubernetesApi:
        return self.apis[self.server.server_address[1]]  # type: ignore[index]

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
            target, query = _Target.parse(url.path), {name: values[-1] for name, values in parse_qs(url.query).items()}
            if self.command == "GET" and not target.name and query.get("watch") in ("true", "True", "1"):
                self._watch(target, query)
                return
            self._send(201 if self.command == "POST" else 200, self._execute(target, query, body))
        except ApiError as refused:
            self._send(refused.code, refused.status)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def _fail(self, status: int) -> None:
        if not status:
            self.close_connection = True
            return
        raise ApiError(status, "InternalError", "a fault that the test asked for")

    def _execute(self, target: _Target, query: dict[str, str], raw_body: bytes) -> Json:
        objects = self.api.objects
        manager = (query.get("fieldManager") or self.headers.get("User-Agent", "unknown").split("/")[0], "Update")
        match self.command:
            case "GET" if target.name:
                return objects.get(target.key)
            case "GET":
                with objects.changed:
                    return {
                        "apiVersion": target.api_version,
                        "kind": f"{target.kind}List",
                        "metadata": {"resourceVersion": str(objects.version)},
                        "items": objects.list(target.plural, target.namespace),
                    }
            case "DELETE":
                return objects.delete(target.key)
            case "POST":
                body = _with_type(target, json.loads(raw_body))
                key = Key(target.plural, target.namespace, body["metadata"]["name"])
                return objects.create(key, body, manager)
            case "PUT":
                return objects.replace(
                    target.key, _with_type(target, json.loads(raw_body)), manager, status=target.status
                )
        return self._patched(target, query, raw_body, manager)

    def _patched(self, target: _Target, query: dict[str, str], sent: bytes, manager: Manager) -> Json:
        objects, kind = self.api.objects, self.headers.get_content_type()
        match kind:
            case "application/merge-patch+json":
                return objects.merge(target.key, json.loads(sent), manager, status=target.status)
            case "application/apply-patch+yaml":
                if "fieldManager" not in query:
                    raise ApiError(400, "BadRequest", "fieldManager: Required value: is required for apply patch")
                force = query.get("force") in ("true", "True")
                config = _with_type(target, yaml.safe_load(sent))
                return objects.apply(target.key, config, query["fieldManager"], force=force)
        raise ApiError(415, "UnsupportedMediaType", f"patches of the kind {kind} are not supported")

    def _watch(self, target: _Target, query: dict[str, str]) -> None:
        """Stream the changes after a version, one a chunk; a version of 0 or none begins with what is there."""
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
                fresh = [event for event in objects.events if event.version > position]
                if not fresh and not objects.changed.wait(float(query.get("timeoutSeconds", 300))):
                    return
                if position < objects.oldest and not fresh:
                    position = objects.version
            for event in fresh:
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
        """Say nothing: tests read `requests`."""


def _with_type(target: _Target, body: Any) -> Json:
    """Return the object with its kind, which typed clients leave to the path."""
    expected = {"apiVersion": target.api_version, "kind": target.kind}
    if not isinstance(body, dict) or any(body.get(name, value) != value for name, value in expected.items()):
        raise ApiError(400, "BadRequest", f"the object is no {expected}")
    name = body.get("metadata", {}).get("name")
    if not name or (target.name and name != target.name):
        raise ApiError(400, "BadRequest", f"the object is named {name!r}, the path says {target.name!r}")
    return {**expected, **body}
