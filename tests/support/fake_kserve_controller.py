"""Fake of KServe's controller: it writes the status of InferenceServices."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.fake_kubernetes_api import FakeKubernetesApi
from tests.support.fake_kubernetes_objects import ApiError, Json, Key

PLURAL = "inferenceservices"
_MANAGER = ("kserve-controller-manager", "Update")


@dataclass
class FakeKServeController:
    """Reports every predictor as ready, except failing ones and those that never become ready."""

    api: FakeKubernetesApi
    namespace: str
    failing: set[str] = field(default_factory=set)
    """Names of predictors whose model cannot be loaded."""
    never_ready: set[str] = field(default_factory=set)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        objects = self.api.objects
        while not self.stop.is_set():
            with objects.changed:
                for body in objects.list(PLURAL, self.namespace):
                    key = Key(PLURAL, self.namespace, body["metadata"]["name"])
                    if (status := self._status(body)) != body.get("status"):
                        objects.replace(key, {**body, "status": status}, _MANAGER, status=True)
                objects.changed.wait(0.2)

    def _status(self, body: Json) -> Json:
        entries = [self._entry(entry) for entry in body["spec"].get("canary", ())]
        ready = str(all(entry["ready"] for entry in entries))
        return {
            "observedGeneration": 1,  # as in KServe: of the Deployment, not of this object
            "conditions": [{"type": "PredictorReady", "status": "True"}, {"type": "Ready", "status": ready}],
            **({"canaryStatuses": entries} if entries else {}),
        }

    def _entry(self, entry: Json) -> Json:
        name = entry["predictor"]["name"]
        status: Json = {"name": name, "trafficPercent": entry["trafficPercent"]}
        if name in self.failing:
            failure = {"reason": "ModelLoadFailed", "message": "the weights do not match the card"}
            model = {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": failure}
            return {**status, "ready": False, "modelStatus": model}
        return {**status, "ready": name not in self.never_ready}


@contextmanager
def run_controller(api: FakeKubernetesApi, namespace: str) -> Iterator[FakeKServeController]:
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
