"""Cluster of the day-two procedures: returns fixed objects and records the commands of kubectl."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class RecordedCluster:
    """Takes the place of `deploy.cluster.Cluster`."""

    objects: dict[str, list[Any]] = field(default_factory=dict)
    """Objects by kind, as in the first argument of `kubectl get`."""
    metrics: str = "workqueue_retries_total 0\n"
    """Response of the API server's /metrics."""
    commands: list[tuple[str, ...]] = field(default_factory=list)
    stdin: list[str | None] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def get(self, kind: str, *arguments: str) -> Any:
        """Return the list of a kind, or one object if its name is given."""
        items = self.objects.get(kind.partition(".")[0], [])
        if arguments and not arguments[0].startswith("-"):
            return next((item for item in items if item["metadata"]["name"] == arguments[0]), None)
        if "--selector" in arguments:
            label, _, value = arguments[arguments.index("--selector") + 1].partition("=")
            items = [item for item in items if item["metadata"].get("labels", {}).get(label) == value]
        return {"items": items}

    def kubectl(self, *arguments: str, stdin: str | None = None, ok_statuses: tuple[int, ...] = (0,)) -> str:
        """Record a command. Returns the metrics for `get --raw /metrics`."""
        if arguments == ("get", "--raw", "/metrics"):
            return self.metrics
        self.commands.append(arguments)
        self.stdin.append(stdin)
        return ""


def make_node(name: str, pool: str, purpose: str = "general", *, is_ready: bool = True, cordoned: bool = False) -> Any:
    """Return a node of a pool."""
    labels = {"kubernetes.azure.com/agentpool": pool, "thale/purpose": purpose}
    conditions = [{"type": "Ready", "status": str(is_ready)}]
    spec = {"unschedulable": True} if cordoned else {}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"conditions": conditions}}


def make_budget(name: str, allowed: int, healthy: int = 2) -> Any:
    """Return a PodDisruptionBudget that allows that many evictions."""
    status = {"disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": 2, "expectedPods": 2}
    return {"metadata": {"name": name, "namespace": "thale"}, "status": status}


def make_service(name: str, version: str, *, has_canary: bool = False) -> Any:
    """Return a ready InferenceService."""
    spec: dict[str, Any] = {"predictor": {"name": version}}
    if has_canary:
        spec["canary"] = [{"trafficPercent": 5, "predictor": {"name": "v2-0-0"}}]
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    return {"kind": "InferenceService", "metadata": {"name": name}, "spec": spec, "status": status}
