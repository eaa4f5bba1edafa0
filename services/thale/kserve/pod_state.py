"""State of a pod in one line, as `kubectl get pods` computes it, and failures that do not pass.

Rollouts and deploys read it. It has no API request, because a deploy uses kubectl and not the Kubernetes client.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

Pod = Mapping[str, Any]

_MAX_RESTARTS = 2
"""Restarts of a failing container before its pod has failed. The first failure may be one of the network."""
_MAX_RESTARTS_OUT_OF_MEMORY = 1
_MAX_MESSAGE_LENGTH = 300
_NODE_START_TIMEOUT_S = 720.0
"""Nodes of large pools may take 10 minutes."""


@dataclass(frozen=True)
class _Failure:
    """Timeout of a failing state, after which the pod has failed, and the remedy."""

    timeout_s: float | None
    remedy: str


_EVENT_TIMEOUT_S = 90.0
"""The kubelet tries a mount again within 64 s. A driver of a new node may be registered by then."""
_VOLUME = (
    "create what the volume names (a claim, a Secret or a ConfigMap), or correct the name: kubectl describe pod {pod}"
)
_IMAGE = "check the image's name, the registry, and the rights of the nodes: kubectl describe pod {pod}"
_CONTAINER = "read the pod's events: kubectl describe pod {pod}"
_FAILURES = {
    "Unschedulable": _Failure(
        _NODE_START_TIMEOUT_S,
        "the autoscaler adds a node within 10 minutes if a node pool may grow: check its maximum, its quota, and the "
        "requested resources",
    ),
    "ErrImagePull": _Failure(120.0, _IMAGE),
    "ImagePullBackOff": _Failure(120.0, _IMAGE),
    "InvalidImageName": _Failure(0.0, _IMAGE),
    "ErrImageNeverPull": _Failure(0.0, _IMAGE),
    "CreateContainerConfigError": _Failure(60.0, _CONTAINER),
    "CreateContainerError": _Failure(60.0, _CONTAINER),
    "RunContainerError": _Failure(60.0, _CONTAINER),
    "FailedMount": _Failure(_EVENT_TIMEOUT_S, _VOLUME),
    "FailedAttachVolume": _Failure(_EVENT_TIMEOUT_S, _VOLUME),
    "FailedMapVolume": _Failure(_EVENT_TIMEOUT_S, _VOLUME),
    "FailedCreatePodSandBox": _Failure(_EVENT_TIMEOUT_S, _CONTAINER),
    "FailedCreate": _Failure(
        _EVENT_TIMEOUT_S,
        "a quota or an admission rule of the namespace refuses the pod: kubectl get resourcequota,events",
    ),
}
_WITHOUT_REASON = {"", "ContainerCreating", "Pending", "PodInitializing"}
"""States of a pod without a cause. Its events have it."""
_RESTART_REMEDIES = {
    "OOMKilled": "raise the memory limit in spec.predictor.model.resources, or use a smaller model",
    "init": "check the store's URI and the rights of the service account: kubectl logs {pod} -c {container}",
    "main": "read its log: kubectl logs {pod} --previous",
}


@dataclass(frozen=True)
class PodState:
    """State of one pod."""

    name: str
    ready: bool
    reason: str
    """As `kubectl get pods` prints it, such as `Init:CrashLoopBackOff`."""
    message: str = ""
    """The last message of the failing container or of the scheduler."""
    restarts: int = 0
    """Restarts of the failing container."""
    timeout_s: float | None = None
    """Time in this state after which the pod has failed. None: the state has no timeout."""
    has_failed: bool = False
    """True if its container failed after the last permitted restart."""
    remedy: str = ""

    def __str__(self) -> str:
        details = [self.message] if self.message else []
        details += [f"{self.restarts} restarts"] if self.restarts else []
        return f"{self.name}: {self.reason}" + (f" ({', '.join(details)})" if details else "")


def describe_pod(pod: Pod) -> PodState:
    """Return the state of a pod."""
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False" and (reason := scheduled.get("reason")):
        return waiting_state(name, reason, scheduled.get("message", ""))
    for prefix, containers in (("Init:", "initContainerStatuses"), ("", "containerStatuses")):
        for container in status.get(containers) or ():
            state = _failing_state(name, prefix, container)
            if state is not None:
                return state
    if conditions.get("Ready", {}).get("status") == "True":
        return PodState(name, ready=True, reason="Ready")
    return _progress_state(name, status)


def has_no_reason(state: PodState) -> bool:
    """Return whether a pod waits without a reason in its status."""
    return not state.ready and state.reason in _WITHOUT_REASON


def explain(state: PodState, warnings: Mapping[str, tuple[str, str]]) -> PodState:
    """Return the state of a pod without a reason with that of its last warning, if it has one."""
    if not has_no_reason(state) or state.name not in warnings:
        return state
    reason, message = warnings[state.name]
    if reason in _FAILURES:
        return waiting_state(state.name, reason, message)
    return replace(state, message=_shorten(f"{reason}: {message}"))


def waiting_state(pod: str, reason: str, message: str, prefix: str = "") -> PodState:
    """Return the state of a waiting pod, with timeout and remedy if its reason is a known failure."""
    failure = _FAILURES.get(reason, _Failure(None, ""))
    return PodState(
        pod,
        ready=False,
        reason=f"{prefix}{reason}",
        message=_shorten(message),
        timeout_s=failure.timeout_s,
        remedy=failure.remedy.format(pod=pod),
    )


def _failing_state(pod: str, prefix: str, container: Mapping[str, Any]) -> PodState | None:
    """Return the state of a pod whose container waits with an error, or has failed."""
    state, restarts = container.get("state") or {}, int(container.get("restartCount", 0))
    waiting = state.get("waiting") or {}
    if waiting.get("reason") in _FAILURES:
        return waiting_state(pod, waiting["reason"], waiting.get("message", ""), prefix)
    ended = state.get("terminated") or {}
    if waiting.get("reason") == "CrashLoopBackOff":
        ended = (container.get("lastState") or {}).get("terminated") or {"exitCode": 1}
    if not ended or ended.get("exitCode") == 0:
        return None
    cause = ended.get("reason") if ended.get("reason") == "OOMKilled" else None
    reason = cause or ("CrashLoopBackOff" if waiting else "Error")
    remedy = _RESTART_REMEDIES[cause or ("init" if prefix else "main")]
    return PodState(
        pod,
        ready=False,
        reason=f"{prefix}{reason}",
        message=_shorten(ended.get("message", "") or f"exit status {ended.get('exitCode')}"),
        restarts=restarts,
        has_failed=restarts >= (_MAX_RESTARTS_OUT_OF_MEMORY if cause else _MAX_RESTARTS),
        remedy=remedy.format(pod=pod, container=container.get("name", "")),
    )


def _progress_state(pod: str, status: Mapping[str, Any]) -> PodState:
    """Return the state of a pod without a failure: scheduling, downloading, starting, or evicted."""
    if status.get("reason"):
        return PodState(pod, ready=False, reason=str(status["reason"]), message=_shorten(status.get("message", "")))
    for container in status.get("initContainerStatuses") or ():
        if "running" in (container.get("state") or {}):
            return PodState(pod, ready=False, reason="Downloading")
    containers = status.get("containerStatuses") or ()
    running = [each for each in containers if "running" in (each.get("state") or {}) and not each.get("ready")]
    if running:
        return PodState(
            pod, ready=False, reason="Starting", restarts=max(int(each.get("restartCount", 0)) for each in running)
        )
    for container in containers:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return waiting_state(pod, waiting["reason"], waiting.get("message", ""))
    return PodState(pod, ready=False, reason=status.get("phase") or "Pending")


def _shorten(message: str) -> str:
    """Return the last lines of a message in one line. The cause of a traceback is at its end."""
    line = " ".join(message.split())
    return line if len(line) <= _MAX_MESSAGE_LENGTH else f"…{line[-_MAX_MESSAGE_LENGTH:]}"
