"""Waits until everything in the namespace is ready, and says what is not."""

from collections.abc import Iterator, Mapping
from typing import Any

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from deploy import cluster as clusters
from deploy.cluster import Cluster
from deploy.context import NAMESPACE, Job
from deploy.errors import NotReadyError

KINDS = "deployments.apps,inferenceservices.serving.kserve.io,gateways.gateway.networking.k8s.io"
_READY = {"InferenceService": "Ready", "Gateway": "Programmed"}
"""The condition by which a kind says so."""

Resource = Mapping[str, Any]


def run(job: Job) -> None:
    """Wait.

    Raises:
        NotReadyError: If something is not ready in time, or was given up.
    """
    cluster = clusters.connect(job)
    polling = Retrying(
        retry=retry_if_result(bool), stop=stop_after_delay(job.settings.wait_s), wait=wait_fixed(job.settings.look_s)
    )
    try:
        with job.console.status("waiting for pods"):
            polling(lambda: _given_up(unready(cluster)))
    except RetryError as error:
        told = "\n".join(f"  {line}" for line in error.last_attempt.result())
        raise NotReadyError(f"not ready after {job.settings.wait_s:.0f} s:\n{told}") from error
    job.say("everything is ready")


def unready(cluster: Cluster) -> list[tuple[str, bool]]:
    """Return what is not ready: a line each, and whether it was given up."""
    found = (cluster.get(KINDS, "--namespace", NAMESPACE) or {}).get("items", ())
    if not found:
        return [("nothing of thale is in the cluster", True)]
    return [told for resource in found if (told := _state(resource)) is not None]


def _given_up(states: list[tuple[str, bool]]) -> list[str]:
    """Return the lines, as long as waiting may help.

    Raises:
        NotReadyError: If something was given up.
    """
    hopeless = [line for line, given_up in states if given_up]
    if hopeless:
        raise NotReadyError("\n".join(hopeless))
    return [line for line, _ in states]


def _state(resource: Resource) -> tuple[str, bool] | None:
    who = f"{resource['kind']} {resource['metadata']['name']}"
    if resource["kind"] == "Deployment":
        why = next(_why_not_rolled_out(resource), None)
    else:
        condition = _condition(resource, _READY[resource["kind"]])
        why = None if condition.get("status") == "True" else (condition.get("message") or "no word of it yet")
    if why is None:
        return None
    return f"{who}: {why}", _is_given_up(resource)


def _why_not_rolled_out(deployment: Resource) -> Iterator[str]:
    """Give what `kubectl rollout status` would wait for."""
    status = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        yield "not seen by its controller yet"
    if (updated := status.get("updatedReplicas", 0)) < wanted:
        yield f"{updated} of {wanted} pods are new"
    if status.get("replicas", 0) > updated:
        yield f"{status['replicas'] - updated} old pods are still there"
    if (available := status.get("availableReplicas", 0)) < updated:
        yield f"{available} of {updated} pods are ready"


def _is_given_up(resource: Resource) -> bool:
    if resource["kind"] == "Deployment":
        return _condition(resource, "Progressing").get("reason") == "ProgressDeadlineExceeded"
    model = (resource.get("status") or {}).get("modelStatus") or {}
    return model.get("transitionStatus") in ("BlockedByFailedLoad", "InvalidSpec")


def _condition(resource: Resource, kind: str) -> Resource:
    conditions = (resource.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == kind), {})
