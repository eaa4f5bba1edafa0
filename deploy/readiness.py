"""Waits until all objects in the namespace are ready, and reports the others with the reasons of their pods."""

from collections.abc import Iterator, Mapping
from typing import Any

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from deploy import cluster as clusters
from deploy.cluster import Cluster
from deploy.context import NAMESPACE, DeployContext
from deploy.errors import NotReadyError
from deploy.kserve_annotations import check_annotations
from deploy.pod_problems import PodProblemLog
from thale.kserve.inference_service import unused_deployments

KINDS = "deployments.apps,inferenceservices.serving.kserve.io,gateways.gateway.networking.k8s.io"
_READY = {"InferenceService": "Ready", "Gateway": "Programmed"}
"""The readiness condition of each kind."""

Resource = Mapping[str, Any]


def run(context: DeployContext) -> None:
    """Wait until all objects are ready.

    Raises:
        NotReadyError: If an object is not ready in time, its controller reports a final failure, or KServe would
            restart predictors with each change of a release.
    """
    cluster = clusters.connect(context)
    check_annotations(context, cluster)
    polling = Retrying(
        retry=retry_if_result(bool),
        stop=stop_after_delay(context.settings.wait_s),
        wait=wait_fixed(context.settings.poll_interval_s),
    )
    problem_log = PodProblemLog(context, cluster)

    def observe() -> list[str]:
        states = unready_objects(cluster)
        reasons = problem_log.observe() if states else []
        _raise_if_failed(states, reasons)
        return [*(line for line, _ in states), *reasons]

    try:
        with context.console.status("waiting for pods"):
            polling(observe)
    except RetryError as error:
        text = "\n".join(f"  {line}" for line in error.last_attempt.result())
        raise NotReadyError(f"not ready after {context.settings.wait_s:.0f} s:\n{text}") from error
    context.log("all objects are ready")


def unready_objects(cluster: Cluster) -> list[tuple[str, bool]]:
    """Return a line for each object that is not ready, and whether it has finally failed."""
    found = (cluster.get(KINDS, "--namespace", NAMESPACE) or {}).get("items", ())
    if not found:
        return [("thale is not deployed to this cluster", True)]
    services = [resource for resource in found if resource["kind"] == "InferenceService"]
    unused = {name for service in services for name in unused_deployments(service)}  # `thale release drop` removes them
    states = [_unready_state(resource) for resource in found if resource["metadata"]["name"] not in unused]
    return [state for state in states if state is not None]


def _raise_if_failed(states: list[tuple[str, bool]], reasons: list[str]) -> None:
    """Raise an error with the reasons of the pods if an object has finally failed.

    Raises:
        NotReadyError: If an object has finally failed.
    """
    if failed := [line for line, has_failed in states if has_failed]:
        raise NotReadyError("\n".join([*failed, *reasons]))


def _unready_state(resource: Resource) -> tuple[str, bool] | None:
    name = f"{resource['kind']} {resource['metadata']['name']}"
    if resource["kind"] == "Deployment":
        reason = next(_rollout_blockers(resource), None)
    else:
        condition = _condition(resource, _READY[resource["kind"]])
        reason = None if condition.get("status") == "True" else (condition.get("message") or "no condition yet")
    if reason is None:
        return None
    return f"{name}: {reason}", _has_failed(resource)


def _rollout_blockers(deployment: Resource) -> Iterator[str]:
    """Yield the reasons for which `kubectl rollout status` would wait, a rejected pod first."""
    status = deployment.get("status") or {}
    if (failure := _condition(deployment, "ReplicaFailure")).get("status") == "True":
        yield f"no pod can be created: {failure.get('message')}"
    replicas = deployment["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        yield "not observed by its controller yet"
    if (updated := status.get("updatedReplicas", 0)) < replicas:
        yield f"{updated} of {replicas} pods are updated"
    if status.get("replicas", 0) > updated:
        yield f"{status['replicas'] - updated} old pods are still running"
    if (available := status.get("availableReplicas", 0)) < updated:
        yield f"{available} of {updated} pods are ready"


def _has_failed(resource: Resource) -> bool:
    if resource["kind"] == "Deployment":
        return _condition(resource, "Progressing").get("reason") == "ProgressDeadlineExceeded"
    model = (resource.get("status") or {}).get("modelStatus") or {}
    return model.get("transitionStatus") in ("BlockedByFailedLoad", "InvalidSpec")


def _condition(resource: Resource, kind: str) -> Resource:
    conditions = (resource.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == kind), {})
