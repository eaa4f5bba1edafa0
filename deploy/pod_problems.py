"""Reasons for which pods are not ready: scheduling, images, init containers, crashes, and events of volumes.

It covers each pod of a namespace, and adds events. `thale.kserve.predictor_pods` decides when a predictor has failed.
It needs the Kubernetes client, which a deploy does not load.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploy.cluster import Cluster
from deploy.context import NAMESPACE, DeployContext

_UNINFORMATIVE = {"ContainerCreating", "PodInitializing"}
"""Waiting reasons without a cause. Events have it, such as FailedMount for a missing Secret."""
_MAX_MESSAGE_LENGTH = 300

Resource = Mapping[str, Any]


class PodProblemLog:
    """Logs the reasons of pods while a step waits for them, each once while it stays the same."""

    def __init__(self, context: DeployContext, cluster: Cluster, namespace: str = NAMESPACE) -> None:
        self._context = context
        self._cluster = cluster
        self._namespace = namespace
        self._logged: set[str] = set()

    def observe(self) -> list[str]:
        """Log new reasons. Returns all present ones.

        Raises:
            DeployError: If the cluster does not respond.
        """
        lines = find_pod_problems(self._cluster, self._namespace)
        for line in lines:
            if line not in self._logged:
                self._context.log(f"waiting: {line}")
        self._logged = {*lines}
        return lines


def find_pod_problems(cluster: Cluster, namespace: str = NAMESPACE) -> list[str]:
    """Return one line for each pod that is not ready and has a known reason.

    Raises:
        DeployError: If the cluster does not respond.
    """
    pods = (cluster.get("pods", "--namespace", namespace) or {}).get("items", ())
    unready = [pod for pod in pods if not _is_ready_or_done(pod)]
    if not unready:
        return []
    events = (cluster.get("events", "--namespace", namespace) or {}).get("items", ())
    return [line for pod in unready if (line := _describe(pod, events))]


def _is_ready_or_done(pod: Resource) -> bool:
    status = pod.get("status") or {}
    is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or ())
    return is_ready or status.get("phase") == "Succeeded" or "deletionTimestamp" in pod["metadata"]


def _describe(pod: Resource, events: Sequence[Resource]) -> str:
    name = pod["metadata"]["name"]
    reason = next(_container_problems(pod), None) or next(_scheduling_problems(pod), None) or _last_warning(pod, events)
    return f"pod {name}: {reason[:_MAX_MESSAGE_LENGTH]}" if reason else ""


def _scheduling_problems(pod: Resource) -> Iterator[str]:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            yield f"{condition.get('reason', 'not scheduled')}: {condition.get('message', 'no message')}"


def _container_problems(pod: Resource) -> Iterator[str]:
    status = pod.get("status") or {}
    for field, kind in (("initContainerStatuses", "init container"), ("containerStatuses", "container")):
        for container in status.get(field) or ():
            state = container.get("state") or {}
            waiting, ended = state.get("waiting"), state.get("terminated") or {}
            last = (container.get("lastState") or {}).get("terminated") or {}
            title = f"{kind} {container['name']}"
            if waiting and waiting.get("reason") not in _UNINFORMATIVE:
                yield f"{title}: {waiting.get('reason')}: {waiting.get('message') or _describe_end(last)}"
            elif ended.get("exitCode"):
                yield f"{title}: {_describe_end(ended)}"
            elif "running" in state and kind == "container" and not container.get("ready"):
                restarts = container.get("restartCount", 0)
                yield f"{title} runs but is not ready" + (f", {restarts} restarts" if restarts else "")


def _describe_end(ended: Resource) -> str:
    if not ended:
        return "no message"
    message = f": {ended['message'].strip()}" if ended.get("message") else ""
    return f"{ended.get('reason', 'ended')} with exit status {ended.get('exitCode')}{message}"


def _last_warning(pod: Resource, events: Sequence[Resource]) -> str | None:
    """Return the last warning about a pod; the API server stores events for an hour."""
    warnings = [
        event
        for event in events
        if event.get("type") == "Warning" and event["involvedObject"].get("name") == pod["metadata"]["name"]
    ]
    if not warnings:
        return None
    last = max(warnings, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    return f"{last.get('reason')}: {last.get('message')}"
