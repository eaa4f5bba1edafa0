"""Fake of the scheduler and kubelet: statuses of pods, as their behaviour and their archive determine them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.support.fake_kubernetes_objects import Json

Behaviour = Literal[
    "ready",
    "starting",
    "crash",
    "out of memory",
    "image pull",
    "unschedulable",
    "no pod",
    "refused",
    "mount",
    "late mount",
]
"""`refused`: the API server creates no pod. `late mount`: a mount succeeds after a failure, and the image is pulled."""

LOAD_FAILURE = "the weights do not match the card"
NO_NODE = "0/3 nodes are available: 3 Insufficient cpu."
NO_VOLUME = 'MountVolume.SetUp failed for volume "signing-keys" : configmap "signing-keys" not found'
OVER_QUOTA = "pods is forbidden: exceeded quota: compute"
_AT = "2026-11-30T12:00:{:02}Z"


@dataclass
class FakeKubelet:
    """Runs the pods of predictors. A container restarts once in each tick, without the back-off of a real kubelet."""

    volumes: Mapping[str, Path] = field(default_factory=dict)
    """Folder of each PersistentVolumeClaim. A pod with another claim mounts nothing and is ready."""
    start_delay: int = 5
    """Ticks between the starts of two pods of a predictor."""
    ticks: dict[str, int] = field(default_factory=dict)
    """Age of each pod in ticks."""

    def status(self, pod: Json, behaviour: Behaviour) -> Json:
        """Return the status of a pod after another tick."""
        name, uri = pod["metadata"]["name"], pod["metadata"]["annotations"]["storage-uri"]
        age = self.ticks[name] = self.ticks.get(name, -1) + 1
        delay = self.start_delay * int(name.rpartition("-")[2])
        if behaviour == "unschedulable":
            return {"phase": "Pending", "conditions": [_condition("PodScheduled", "False", "Unschedulable", NO_NODE)]}
        if uri.startswith("pvc://"):
            return self._run(behaviour, age - delay, [], self._missing_folder(uri))
        if uri.startswith("https://"):
            return self._run(behaviour, age - delay, [_ended("storage-initializer", 0)], None)
        failure = f"RuntimeError: Local path {uri} does not exist."
        return _pending([_crashing("storage-initializer", age, 1, "Error", failure)], [])

    def events(self, involved: str, behaviour: Behaviour) -> list[Json]:
        """Return the events of a pod, or of the ReplicaSet of a predictor without one."""
        if behaviour == "refused":
            return [_event("ReplicaSet", involved, "Warning", "FailedCreate", OVER_QUOTA, 1)]
        if behaviour not in ("mount", "late mount"):
            return []
        events = [
            _event("Pod", involved, "Normal", "Scheduled", "assigned to node", 0),
            _event("Pod", involved, "Warning", "FailedMount", NO_VOLUME, 1),
        ]
        pulling = _event("Pod", involved, "Normal", "Pulling", "pulling image", 1)
        return [*events, pulling] if behaviour == "late mount" else events

    def _missing_folder(self, uri: str) -> str | None:
        claim, _, path = uri.removeprefix("pvc://").partition("/")
        folder = self.volumes.get(claim)
        if folder is None or list((folder / path / "model-store").glob("*.mar")):
            return None
        return "the model store /mnt/models/model-store cannot be read: No such file or directory"

    def _run(self, behaviour: Behaviour, age: int, initialized: list[Json], failure: str | None) -> Json:
        if failure is not None or behaviour == "crash":
            return _pending(
                initialized, [_crashing("kserve-container", max(age, 0), 1, "Error", failure or LOAD_FAILURE)]
            )
        if behaviour == "out of memory":
            return _pending(initialized, [_crashing("kserve-container", max(age, 0), 137, "OOMKilled", "")])
        if behaviour in ("mount", "late mount"):
            creating = _container("kserve-container", 0, {"waiting": {"reason": "ContainerCreating"}})
            return {**_pending(initialized, [creating]), "phase": "Pending"}
        if behaviour == "image pull":
            reason = "ErrImagePull" if age % 2 == 0 else "ImagePullBackOff"
            waiting = {"reason": reason, "message": "manifest unknown"}
            return _pending(initialized, [_container("kserve-container", 0, {"waiting": waiting})])
        is_ready = behaviour == "ready" and age >= 2
        running = _container("kserve-container", 0, {"running": {}})
        return {
            "phase": "Running",
            "conditions": [_condition("PodScheduled", "True"), _condition("Ready", str(is_ready))],
            "initContainerStatuses": initialized,
            "containerStatuses": [{**running, "ready": is_ready}],
        }


def is_ready(pod: Json) -> bool:
    """Return whether the condition Ready of a pod is true."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)


def _event(kind: str, name: str, severity: str, reason: str, message: str, second: int) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {},
        "type": severity,
        "reason": reason,
        "message": message,
        "involvedObject": {"kind": kind, "name": name},
        "lastTimestamp": _AT.format(second),
    }


def _pending(initialized: list[Json], containers: list[Json]) -> Json:
    return {
        "phase": "Running" if containers else "Pending",
        "conditions": [_condition("PodScheduled", "True"), _condition("Ready", "False")],
        "initContainerStatuses": initialized,
        "containerStatuses": containers,
    }


def _condition(kind: str, status: str, reason: str = "", message: str = "") -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _container(name: str, restarts: int, state: Json) -> Json:
    return {"name": name, "restartCount": restarts, "ready": False, "state": state}


def _ended(name: str, exit_code: int) -> Json:
    return _container(name, 0, {"terminated": {"exitCode": exit_code, "reason": "Completed"}})


def _crashing(name: str, restarts: int, exit_code: int, reason: str, message: str) -> Json:
    """Return the status of a container that alternates between its end and the back-off, as kubelet reports it."""
    terminated = {"terminated": {"exitCode": exit_code, "reason": reason, "message": message}}
    if restarts % 2 == 0:
        return _container(name, restarts, terminated)
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": f"back-off restarting failed container {name}"}}
    return {**_container(name, restarts, waiting), "lastState": terminated}
