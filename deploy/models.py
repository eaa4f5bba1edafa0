"""Registers the repository's default models in the environment's store, with a Job in the cluster.

The store is reachable only inside the network (on a laptop it is a volume), and registration runs the golden plates on
a real model server. A pod with the model server's image has both. The digest of the weights is part of the Job's name,
so the Job runs once for each set of weights. Registered weights are skipped.
"""

import json
from collections.abc import Mapping
from typing import Any

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from deploy import cluster as clusters
from deploy import terraform
from deploy.cluster import Cluster
from deploy.context import NAMESPACE, DeployContext
from deploy.errors import CommandError, DeployError, NotReadyError
from deploy.images import load_image_references
from deploy.pod_problems import PodProblemLog
from deploy.state import digest, digest_files

WEIGHTS = "model-server/weights"
TRAINING_NAMESPACE = "thale-training"
"""Namespace of the identity that may write models (terraform/azure/identities.tf)."""
MEMORY_LIMIT = "6Gi"
"""A model server with one worker, as in a predictor (kubernetes/base), and the registering process."""

_SCRIPT = """\
set -eu
weights=$(python -c 'from thale.local.runtime import find_runtime; print(find_runtime().weights)')
for model in "$weights"/*/*; do thale-models archive "$model" --out /tmp/archives; done
for archive in /tmp/archives/*.mar; do thale release --store "$0" --as deploy register "$archive"; done
"""

Manifest = Mapping[str, Any]


def cache_inputs(context: DeployContext) -> Mapping[str, object]:
    """Return the digest of the weights and their destination; a laptop's is the volume of its cluster."""
    destination = terraform.facts(context)["blob_endpoint"] if context.environment.on_azure else "store"
    return {"weights": digest_files(context.root, context.tracked_files(WEIGHTS)), "destination": destination}


def run(context: DeployContext) -> None:
    """Run the Job and wait until it ends.

    Raises:
        DeployError: If a registration fails, with the end of the Job's log.
        NotReadyError: If the Job does not end in time.
    """
    cluster = clusters.connect(context)
    cluster.check_environment()
    name = f"register-models-{digest(dict(cache_inputs(context)))[:10]}"
    manifests = _azure_manifests(context, name) if context.environment.on_azure else _local_manifests(context, name)
    namespace: str = manifests[-1]["metadata"]["namespace"]
    found = cluster.get("job", name, "--namespace", namespace)
    if found is not None and _final_condition(found) == "Failed":
        cluster.kubectl("delete", "job", name, "--namespace", namespace)
    path = context.folder / "models.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))
    cluster.apply(path)
    _wait_for_job(context, cluster, name, namespace)
    context.log(_read_log(cluster, name, namespace, lines=2) or "registered")


def _wait_for_job(context: DeployContext, cluster: Cluster, name: str, namespace: str) -> None:
    polling = Retrying(
        retry=retry_if_result(lambda condition: condition is None),
        stop=stop_after_delay(context.settings.wait_s),
        wait=wait_fixed(context.settings.poll_interval_s),
    )
    problem_log = PodProblemLog(context, cluster, namespace)

    def observe() -> str | None:
        if (condition := _final_condition(cluster.get("job", name, "--namespace", namespace))) is None:
            problem_log.observe()
        return condition

    try:
        with context.console.status("running the golden plates"):
            condition = polling(observe)
    except RetryError as error:
        raise NotReadyError(
            f"the Job {name} did not end within {context.settings.wait_s:.0f} s; {_describe_hint(name, namespace)}"
        ) from error
    if condition == "Failed":
        log = _read_log(cluster, name, namespace, lines=20)
        raise DeployError(f"the registration of the default models failed; {_describe_hint(name, namespace)}\n{log}")


def _read_log(cluster: Cluster, name: str, namespace: str, lines: int) -> str:
    """Return the end of the Job's log, or the reason why it is not available: its pod may be deleted already."""
    try:
        return cluster.kubectl("logs", f"job/{name}", "--namespace", namespace, f"--tail={lines}").strip()
    except CommandError as error:
        return f"its log is not available: {error.output.strip() or error}"


def _describe_hint(name: str, namespace: str) -> str:
    return f"run kubectl describe job/{name} --namespace {namespace}"


def _final_condition(found: Manifest | None) -> str | None:
    """Return `Complete` or `Failed`, or None for a running Job."""
    conditions = ((found or {}).get("status") or {}).get("conditions") or ()
    return next(
        (each["type"] for each in conditions if each["type"] in ("Complete", "Failed") and each["status"] == "True"),
        None,
    )


def _azure_manifests(context: DeployContext, name: str) -> list[Manifest]:
    facts = terraform.facts(context)
    restricted = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    identity = {"azure.workload.identity/client-id": facts["client_ids"]["trainer"]}
    metadata = {"name": "trainer", "namespace": TRAINING_NAMESPACE}
    store = f"{facts['blob_endpoint'].rstrip('/')}/models"
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TRAINING_NAMESPACE, "labels": restricted}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**metadata, "annotations": identity}},
        _registration_job(context, {"name": name, "namespace": TRAINING_NAMESPACE}, store, "trainer", {}),
    ]


def _local_manifests(context: DeployContext, name: str) -> list[Manifest]:
    return [local_registration_job(context, name)]


def local_registration_job(context: DeployContext, name: str) -> Manifest:
    """Return the Job with the volume that replaces the storage account (kubernetes/platform/manifests/store)."""
    volume = {"name": "store", "persistentVolumeClaim": {"claimName": "store"}}
    return _registration_job(context, {"name": name, "namespace": NAMESPACE}, "/store/models", "default", volume)


def _registration_job(
    context: DeployContext, metadata: Manifest, store: str, service_account: str, volume: Manifest
) -> Manifest:
    """Return the Job. It is retried up to twice, because the store may be unavailable for a short time."""
    (image,) = (image for image in load_image_references(context) if image.name == "thale-model-server")
    volumes = [{"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}}, *([volume] if volume else [])]
    mounts = [{"name": "tmp", "mountPath": "/tmp"}, *([{"name": "store", "mountPath": "/store"}] if volume else [])]  # noqa: S108
    container = {
        "name": "register",
        "image": image.reference,
        "command": ["sh", "-c", _SCRIPT, store],
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "TMPDIR", "value": "/tmp"}],  # noqa: S108
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "2", "memory": MEMORY_LIMIT}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    pod = {
        "serviceAccountName": service_account,
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            **{key: 10001 for key in ("runAsUser", "runAsGroup", "fsGroup")},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }
    labels = {"app.kubernetes.io/name": "thale", "app.kubernetes.io/component": "register-models"}
    identity = {} if volume else {"azure.workload.identity/use": "true"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**metadata, "labels": labels},
        "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": 1800,
            "ttlSecondsAfterFinished": 7 * 24 * 3600,
            "template": {"metadata": {"labels": {**labels, **identity}}, "spec": pod},
        },
    }
