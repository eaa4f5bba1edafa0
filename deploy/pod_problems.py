"""Reasons for which pods of a namespace are not ready, logged while a step waits for them."""

from collections.abc import Mapping
from typing import Any

from deploy.cluster import Cluster
from deploy.context import NAMESPACE, DeployContext
from thale.kserve.pod_events import last_warnings
from thale.kserve.pod_state import describe_pod, explain, has_no_reason


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
    states = [state for pod in pods if not _is_over(pod) and not (state := describe_pod(pod)).ready]
    if any(has_no_reason(state) for state in states):
        events = (cluster.get("events", "--namespace", namespace) or {}).get("items", ())
        states = [explain(state, last_warnings(events, "Pod")) for state in states]
    return [f"pod {state}" for state in states if state.message or not has_no_reason(state)]


def _is_over(pod: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" in pod["metadata"] or (pod.get("status") or {}).get("phase") == "Succeeded"
