"""A Kubernetes API server for the real kubectl: discovery, read, list, create, delete, server-side apply with dry run.

Objects, their versions and who manages which field are tests/support/fake_kubernetes_objects.py's. What controllers
would write (status, certificates) is made up when an object is read: everything is ready, but for what `unready` names.
"""

import base64
import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.support.fake_kubernetes_objects import ApiError, Json, Key, ObjectStore

CLUSTER_WIDE = {"Namespace", "CustomResourceDefinition"}
KINDS = {
    "v1": ("ConfigMap", "Namespace", "Secret", "Service", "ServiceAccount"),
    "apiextensions.k8s.io/v1": ("CustomResourceDefinition",),
    "apps/v1": ("Deployment",),
    "batch/v1": ("Job",),
    "discovery.k8s.io/v1": ("EndpointSlice",),
    "serving.kserve.io/v1beta1": ("InferenceService",),
    "gateway.networking.k8s.io/v1": ("Gateway",),
}
"""What exists from the start; applying a kind that is not here adds it, as if its definition had been installed."""


def pluralize(kind: str) -> str:
    name = kind.lower()
    if name.endswith("y") and not name.endswith("ay"):
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "ss")) else f"{name}s"


@dataclass
class FakeCluster:
    """A running server."""

    port: int
    ca_certificate: bytes = b""
    """What the gateway's Secret holds as its authority."""
    objects: ObjectStore = field(default_factory=ObjectStore)
    kinds: dict[str, set[str]] = field(default_factory=lambda: {group: set(kinds) for group, kinds in KINDS.items()})
    unready: set[str] = field(default_factory=set)
    """Names of objects that do not get ready."""
    failing: set[str] = field(default_factory=set)
    """Names of objects that are given up, and of Jobs that fail."""

    def add_kinds(self, manifests: list[Json]) -> None:
        """Install the kinds of these objects."""
        for manifest in manifests:
            self.kinds.setdefault(manifest["apiVersion"], set()).add(manifest["kind"])

    def kubeconfig(self) -> str:
        """Return what leads kubectl here."""
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "kind-plants",
                "clusters": [{"name": "plants", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
                "users": [{"name": "somebody", "user": {}}],
                "contexts": [{"name": "kind-plants", "context": {"cluster": "plants", "user": "somebody"}}],
            }
        )

    def with_status(self, body: Json) -> Json:
        """Return an object as its readers see it: with what its controller would have written."""
        name = body["metadata"]["name"]
        ready, failed = str(name not in self.unready | self.failing), name in self.failing
        status: Json
        match body["kind"]:
            case "Deployment":
                replicas = body["spec"].get("replicas", 1)
                status = {"observedGeneration": 99, "replicas": replicas, "updatedReplicas": replicas}
                status["availableReplicas"] = 0 if name in self.unready else replicas
                reason = "ProgressDeadlineExceeded" if failed else "NewReplicaSetAvailable"
                status["conditions"] = [{"type": "Progressing", "status": "True", "reason": reason}]
            case "InferenceService":
                status = {"conditions": [{"type": "Ready", "status": ready, "message": "loading"}]}
                status |= {"modelStatus": {"transitionStatus": "BlockedByFailedLoad"}} if failed else {}
            case "Gateway":
                status = {
                    "conditions": [{"type": "Programmed", "status": ready}],
                    "addresses": [{"type": "IPAddress", "value": "127.0.0.1"}],
                }
            case "Job":
                condition = "Failed" if failed else "Complete"
                status = {"conditions": [{"type": condition, "status": "True"}]}
            case _:
                return body
        return {**body, "status": status}


@contextmanager
def run_fake_cluster(ca_certificate: bytes = b"") -> Iterator[FakeCluster]:
    """Run a server on a free port for as long as the context lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    api = FakeCluster(server.server_port, ca_certificate)
    _Handler.apis[server.server_port] = api
    secret = {"apiVersion": "v1", "kind": "Secret", "data": {"ca.crt": base64.b64encode(ca_certificate).decode()}}
    api.objects.create(Key("secrets", "thale", "gateway-tls"), {**secret, "metadata": {}}, ("cert-manager", "Update"))
    slices = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "endpoints": [{"addresses": ["172.18.0.2"]}],
    }
    labels = {"kubernetes.io/service-name": "kubernetes"}
    key = Key("endpointslices", "default", "kubernetes")
    api.objects.create(key, {**slices, "metadata": {"labels": labels}}, ("kube", "Update"))
    envoy = {"apiVersion": "v1", "kind": "Service", "spec": {}}
    labels = {
        "gateway.envoyproxy.io/owning-gateway-namespace": "thale",
        "gateway.envoyproxy.io/owning-gateway-name": "thale",
    }
    key = Key("services", "envoy-gateway-system", "envoy-thale")
    api.objects.create(key, {**envoy, "metadata": {"labels": labels}}, ("envoy", "Update"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        del _Handler.apis[server.server_port]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    apis: ClassVar[dict[int, FakeCluster]] = {}

    @property
    def api(self) -> FakeCluster:
        return self.apis[self.server.server_address[1]]  # type: ignore[index]

    def _handle(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        try:
            self._send(201 if self.command == "POST" else 200, self._route(url.path, query, sent))
        except ApiError as refused:
            self._send(refused.code, refused.status)

    do_GET = do_POST = do_PATCH = do_DELETE = _handle

    def _route(self, path: str, query: dict[str, str], sent: bytes) -> Json:
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
            case ["api", version, *rest] if version == "v1":
                return self._object(version, rest, query, sent)
            case ["apis", group, version, *rest]:
                return self._object(f"{group}/{version}", rest, query, sent)
        raise ApiError(404, "NotFound", f"the server could not find {path}")

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
        verbs = ["get", "list", "create", "patch", "delete"]
        resources = [
            {"name": pluralize(kind), "singularName": kind.lower(), "kind": kind, "verbs": verbs}
            | {"namespaced": kind not in CLUSTER_WIDE}
            for kind in sorted(self.api.kinds.get(api_version, ()))
        ]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": resources}

    def _object(self, api_version: str, rest: list[str], query: dict[str, str], sent: bytes) -> Json:
        match rest:
            case ["namespaces", namespace, plural, *name]:
                pass
            case [plural, *name]:
                namespace = ""
        kinds = {pluralize(kind): kind for kind in self.api.kinds.get(api_version, ())}
        if plural not in kinds:
            raise ApiError(404, "NotFound", f"the server could not find {plural}")
        dry = query.get("dryRun") == "All"
        objects = _clone_objects(self.api.objects) if dry else self.api.objects
        manager = query.get("fieldManager", "kubectl")
        if not name and self.command == "GET":
            return self._list(objects, api_version, kinds[plural], (plural, namespace), query)
        body = yaml.safe_load(sent) if sent and self.command != "DELETE" else {}
        key = Key(plural, namespace, name[0] if name else body["metadata"]["name"])
        match self.command:
            case "GET":
                return self.api.with_status(objects.get(key))
            case "POST":
                return objects.create(key, body, (manager, "Update"))
            case "DELETE":
                deleted = objects.delete(key)
                if plural == "namespaces":
                    self._delete_namespaced(key.name)
                return deleted
        return self._apply(objects, key, body, manager, force=query.get("force") == "true")

    def _apply(self, objects: ObjectStore, key: Key, body: Json, manager: str, *, force: bool) -> Json:
        if key.namespace:
            objects.get(Key("namespaces", "", key.namespace))
        try:
            return self.api.with_status(objects.apply(key, body, manager, force=force))
        except ApiError as refused:
            causes = refused.status["details"]["causes"]
            if refused.code != 409 or not causes:
                raise
            lines = [
                f"{cause['message'].split(' using ')[0]} using {body['apiVersion']}: {cause['field']}"
                for cause in causes
            ]
            message = f"Apply failed with {len(causes)} conflict{'s' * (len(causes) > 1)}: {'; '.join(lines)}"
            raise ApiError(409, "Conflict", message, causes) from refused

    def _list(
        self, objects: ObjectStore, api_version: str, kind: str, scope: tuple[str, str], query: dict[str, str]
    ) -> Json:
        selector = dict(pair.split("=", 1) for pair in query.get("labelSelector", "").split(",") if pair)
        found = [self.api.with_status(body) for body in objects.list(*scope)]
        items = [body for body in found if selector.items() <= body["metadata"].get("labels", {}).items()]
        return {"apiVersion": api_version, "kind": f"{kind}List", "metadata": {"resourceVersion": "1"}, "items": items}

    def _delete_namespaced(self, namespace: str) -> None:
        for key in [key for key in self.api.objects._bodies if key.namespace == namespace]:
            self.api.objects.delete(key)

    def _send(self, status: int, body: Json) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name in the standard library)
        """Say nothing."""


def _clone_objects(objects: ObjectStore) -> ObjectStore:
    """Return objects that can be changed without changing these."""
    with objects.changed:
        return ObjectStore(
            version=objects.version, _bodies=copy.deepcopy(objects._bodies), _fields=copy.deepcopy(objects._fields)
        )
