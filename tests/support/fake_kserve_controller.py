"""Fake of KServe's controller in Standard mode: pods of predictors, and the status of InferenceServices.

It follows KServe 0.21 (pkg/controller/v1beta1/inferenceservice/components/predictor.go): the annotations in pod
templates, the labels of pods, the replicas of stable and canary, and a status without `modelStatus` of canaries.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.fake_kubelet import Behaviour, FakeKubelet, is_ready
from tests.support.fake_kubernetes_api import FakeKubernetesApi
from tests.support.fake_kubernetes_objects import ApiError, Json, Key
from thale.kserve.inference_service import ANNOTATION_KEYS

PLURAL = "inferenceservices"
CONFIG = Key("configmaps", "kserve", "inferenceservice-config")
_MANAGER = ("kserve-controller-manager", "Update")
_ALWAYS_DISALLOWED = {
    "autoscaling.knative.dev/min-scale",
    "autoscaling.knative.dev/max-scale",
    "internal.serving.kserve.io/storage-initializer-sourceuri",
    "kubectl.kubernetes.io/last-applied-configuration",
}
_TICK_S = 0.02


@dataclass
class FakeKServeController:
    """Runs every predictor. Its pods become ready, except those with another behaviour."""

    api: FakeKubernetesApi
    namespace: str
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    """Behaviour of the pods of a predictor, by the predictor's name."""
    kubelet: FakeKubelet = field(default_factory=FakeKubelet)
    restarts: list[str] = field(default_factory=list)
    """Names of Deployments whose pod template changed, in order."""
    templates: dict[str, Json] = field(default_factory=dict)
    """Pod template of each Deployment."""
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        objects = self.api.objects
        while not self.stop.is_set():
            with objects.changed:
                for body in objects.list(PLURAL, self.namespace):
                    self._reconcile(body)
                objects.changed.wait(_TICK_S)

    def ready_pods(self, service: str, predictor: str) -> int:
        """Return the number of ready pods of a predictor."""
        return sum(is_ready(pod) for pod in self._pods(f"{service}-{predictor}-predictor"))

    def _reconcile(self, body: Json) -> None:
        name, spec = body["metadata"]["name"], body["spec"]
        entries = spec.get("canary", ())
        ready = {status["name"]: status["ready"] for status in body.get("status", {}).get("canaryStatuses", ())}
        stable_replicas = spec["predictor"].get("minReplicas", 1)
        canary_replicas = {entry["predictor"]["name"]: _replicas(entry, stable_replicas) for entry in entries}
        for entry in entries:
            predictor = _merge(spec["predictor"], entry["predictor"])
            self._run_predictor(body, predictor, canary_replicas[predictor["name"]])
        taken = sum(count for predictor, count in canary_replicas.items() if ready.get(predictor))
        self._run_predictor(body, spec["predictor"], max(stable_replicas - taken, 1) if taken else stable_replicas)
        self._remove_orphans(name, {spec["predictor"]["name"], *canary_replicas})
        status = self._status(name, entries)
        if status != body.get("status"):
            key = Key(PLURAL, self.namespace, name)
            self.api.objects.replace(key, {**body, "status": status}, _MANAGER, status=True)

    def _run_predictor(self, body: Json, predictor: Json, replicas: int) -> None:
        """Create or change the Deployment of a predictor and its pods. Scaling down takes 300 s, longer than a test."""
        deployment = f"{body['metadata']['name']}-{predictor['name']}-predictor"
        template = self._template(body, predictor, deployment)
        if self.templates.get(deployment, template) != template:
            self.restarts.append(deployment)
            self._delete_pods(deployment)
        self.templates[deployment] = template
        behaviour = self.behaviours.get(predictor["name"], "ready")
        present = self._pods(deployment)
        if behaviour == "refused":
            self._write_events(f"{deployment}-{_digest(template)}", behaviour)
        if behaviour not in ("no pod", "refused"):
            for number in range(len(present), replicas):
                self._create_pod(deployment, template, number)
        for pod in self._pods(deployment):
            key = Key("pods", self.namespace, pod["metadata"]["name"])
            status = self.kubelet.status(pod, behaviour)
            self._write_events(key.name, behaviour)
            self.api.objects.replace(key, {**pod, "status": status}, _MANAGER, status=True)

    def _write_events(self, involved: str, behaviour: Behaviour) -> None:
        for number, event in enumerate(self.kubelet.events(involved, behaviour)):
            key = Key("events", self.namespace, f"{involved}.{number}")
            if key not in self.api.objects.stored_keys():
                self.api.objects.create(key, event, ("kubelet", "Update"))

    def _template(self, body: Json, predictor: Json, deployment: str) -> Json:
        disallowed = _ALWAYS_DISALLOWED | self._disallowed_list()
        annotations = {
            key: value for key, value in body["metadata"].get("annotations", {}).items() if key not in disallowed
        }
        uri = predictor["model"]["storageUri"]
        labels = {"app": f"isvc.{deployment}", "serving.kserve.io/inferenceservice": body["metadata"]["name"]}
        return {
            "metadata": {"labels": labels, "annotations": {**annotations, "storage-uri": uri}},
            "spec": {"containers": [{"name": "kserve-container", "resources": predictor["model"].get("resources")}]},
        }

    def _disallowed_list(self) -> set[str]:
        try:
            config_map = self.api.objects.get(CONFIG)
        except ApiError:
            return set()
        config = json.loads(config_map["data"].get("inferenceService", "{}"))
        return {*config.get("serviceAnnotationDisallowedList", ())}

    def _create_pod(self, deployment: str, template: Json, number: int) -> None:
        key = Key("pods", self.namespace, f"{deployment}-{_digest(template)}-{number}")
        pod = {"apiVersion": "v1", "kind": "Pod", **template}
        self.kubelet.ticks.pop(key.name, None)
        self.api.objects.create(key, pod, _MANAGER)

    def _pods(self, deployment: str) -> list[Json]:
        pods = self.api.objects.list("pods", self.namespace)
        return [pod for pod in pods if pod["metadata"]["labels"]["app"] == f"isvc.{deployment}"]

    def _delete_pods(self, deployment: str) -> None:
        for pod in self._pods(deployment):
            self.api.objects.delete(Key("pods", self.namespace, pod["metadata"]["name"]))

    def _remove_orphans(self, service: str, predictors: set[str]) -> None:
        expected = {f"{service}-{predictor}-predictor" for predictor in predictors}
        for deployment in [name for name in self.templates if name.startswith(f"{service}-v")]:
            if deployment not in expected:
                self._delete_pods(deployment)
                del self.templates[deployment]

    def _status(self, service: str, entries: Sequence[Json]) -> Json:
        statuses = [
            {
                "name": (name := entry["predictor"]["name"]),
                "ready": self.ready_pods(service, name) > 0,
                "trafficPercent": entry["trafficPercent"],
            }
            for entry in entries
        ]
        conditions = [{"type": "PredictorReady", "status": "True"}, {"type": "Ready", "status": "True"}]
        if statuses:
            all_ready = str(all(status["ready"] for status in statuses))
            conditions.append({"type": "CanaryPredictorReady", "status": all_ready})
        return {
            "observedGeneration": 1,  # as in KServe: of the Deployment, not of this object
            "conditions": conditions,
            **({"canaryStatuses": statuses} if statuses else {}),
        }


def disallow_annotations(api: FakeKubernetesApi, keys: Sequence[str] = ANNOTATION_KEYS) -> None:
    """Write KServe's ConfigMap with a list of annotations that pod templates do not get."""
    config = json.dumps({"resource": {"cpuLimit": "1"}, "serviceAnnotationDisallowedList": list(keys)})
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": {"inferenceService": config}}
    try:
        api.objects.merge(CONFIG, {"data": body["data"]}, ("helm", "Update"))
    except ApiError:
        api.objects.create(CONFIG, body, ("helm", "Update"))


@contextmanager
def run_controller(api: FakeKubernetesApi, namespace: str) -> Iterator[FakeKServeController]:
    """Run the controller within the context, with a configuration for releases of thale."""
    disallow_annotations(api)
    controller = FakeKServeController(api, namespace)
    thread = threading.Thread(target=controller.run, daemon=True)
    thread.start()
    try:
        yield controller
    finally:
        controller.stop.set()
        thread.join()


def canary_percents(api: FakeKubernetesApi, namespace: str, name: str) -> dict[str, int]:
    """Return the percentage of each predictor in spec.canary, empty if the object does not exist."""
    try:
        spec = api.objects.get(Key(PLURAL, namespace, name))["spec"]
    except ApiError:
        return {}
    return {entry["predictor"]["name"]: entry["trafficPercent"] for entry in spec.get("canary", ())}


def _replicas(entry: Json, stable_replicas: int) -> int:
    """Return canaryReplicaCount of KServe."""
    if "minReplicas" in entry["predictor"]:
        return int(entry["predictor"]["minReplicas"])
    return -(-stable_replicas * int(entry["trafficPercent"]) // 100)


def _digest(template: Json) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]


def _merge(stable: Json, canary: Json) -> Json:
    return {**stable, **canary, "model": {**stable["model"], **canary["model"]}}
