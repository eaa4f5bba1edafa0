"""Fake cluster for the real kubectl: the fake Kubernetes API with the status that controllers would write.

Every object is ready except those that `unready` and `failing` name.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import yaml

from tests.support.fake_kubernetes_api import FakeKubernetesApi, serve
from tests.support.fake_kubernetes_objects import Json, Key
from thale.kserve.inference_service import ANNOTATION_KEYS

KSERVE_CONFIG = Key("configmaps", "kserve", "inferenceservice-config")


@dataclass
class FakeCluster(FakeKubernetesApi):
    """A running server."""

    requires_namespaces: bool = True
    ca_certificate: bytes = b""
    """Certificate authority in the Secret of the gateway."""
    unready: set[str] = field(default_factory=set)
    """Names of objects that never become ready."""
    failing: set[str] = field(default_factory=set)
    """Names of objects whose controllers report a failure, and of Jobs that fail."""

    pods: dict[str, Json] = field(default_factory=dict)
    """Status of each pod, by name. `add_pod` creates one."""

    def add_pod(self, name: str, status: Json, *warnings: str) -> None:
        """Add a pod with its status, and the messages of its warnings, oldest first."""
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {}}
        self.objects.create(Key("pods", "thale", name), pod, ("kubelet", "Update"))
        self.pods[name] = status
        for number, message in enumerate(warnings):
            event = {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {},
                "type": "Warning",
                "reason": "FailedMount",
                "message": message,
                "involvedObject": {"kind": "Pod", "name": name},
                "lastTimestamp": f"2026-11-30T12:00:{number:02}Z",
            }
            self.objects.create(Key("events", "thale", f"{name}.{number}"), event, ("kubelet", "Update"))

    def recreate(self) -> None:
        """Replace the cluster by a new, empty one of the same name and address."""
        for key in self.objects.stored_keys():
            self.objects.delete(key)
        _create_addon_objects(self)

    def kubeconfig(self) -> str:
        """Return the kubeconfig of this server."""
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "kind-plants",
                "clusters": [{"name": "plants", "cluster": {"server": self.url}}],
                "users": [{"name": "operator", "user": {}}],
                "contexts": [{"name": "kind-plants", "context": {"cluster": "plants", "user": "operator"}}],
            }
        )

    def with_status(self, body: Json) -> Json:
        """Return an object with the status that its controller would have written."""
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
                canaries = body.get("status", {}).get("canaryStatuses")  # if a fake of KServe's controller runs
                status |= {"canaryStatuses": canaries} if canaries else {}
            case "Gateway":
                status = {
                    "conditions": [{"type": "Programmed", "status": ready}],
                    "addresses": [{"type": "IPAddress", "value": "127.0.0.1"}],
                }
            case "Pod":
                status = self.pods.get(name) or body.get("status", {})
            case "Job":
                condition = "Failed" if failed else "Complete"
                status = {"conditions": [{"type": condition, "status": "True"}]}
            case _:
                return body
        return {**body, "status": status}


@contextmanager
def run_fake_cluster(ca_certificate: bytes = b"") -> Iterator[FakeCluster]:
    """Run a server on a free port within the context, with the objects that add-ons create."""
    with serve(FakeCluster) as cluster:
        cluster.ca_certificate = ca_certificate
        _create_addon_objects(cluster)
        yield cluster


def _create_addon_objects(cluster: FakeCluster) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {}}
    cluster.objects.create(Key("namespaces", "", "kserve"), namespace, ("helm", "Update"))
    cluster.objects.create(Key("namespaces", "", "kube-system"), namespace, ("kube", "Update"))
    section = json.dumps({"serviceAnnotationDisallowedList": [*ANNOTATION_KEYS]})
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": {"inferenceService": section}}
    cluster.objects.create(KSERVE_CONFIG, config, ("thale-platform", "Update"))
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {},
        "data": {"ca.crt": base64.b64encode(cluster.ca_certificate).decode()},
    }
    cluster.objects.create(Key("secrets", "thale", "gateway-tls"), secret, ("cert-manager", "Update"))
    endpoint_slice = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"labels": {"kubernetes.io/service-name": "kubernetes"}},
        "endpoints": [{"addresses": ["172.18.0.2"]}],
        "ports": [{"name": "https", "port": 8443, "protocol": "TCP"}],
    }
    cluster.objects.create(Key("endpointslices", "default", "kubernetes"), endpoint_slice, ("kube", "Update"))
    labels = {
        "gateway.envoyproxy.io/owning-gateway-namespace": "thale",
        "gateway.envoyproxy.io/owning-gateway-name": "thale",
    }
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"labels": labels}, "spec": {}}
    key = Key("services", "envoy-gateway-system", "envoy-thale")
    cluster.objects.create(key, service, ("envoy", "Update"))
