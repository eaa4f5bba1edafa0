"""Readiness: the reasons for which pods are not ready are logged while waiting, and are part of the error."""

from typing import Any

import pytest

from deploy import readiness
from deploy.errors import NotReadyError
from deploy.settings import Environment
from tests.support.deploy_environment import DeployEnvironment
from tests.support.fake_cluster import KSERVE_CONFIG
from tests.support.fake_kubernetes_objects import Key
from tests.support.sample_releases import make_release
from thale.kserve import inference_service

FACADE = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"namespace": "thale"},
    "spec": {"replicas": 1},
}
UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient memory.",
        }
    ],
}


def with_container(field: str, name: str, state: Any, **more: Any) -> dict[str, Any]:
    """Return the status of a pending pod with one container."""
    return {"phase": "Pending", field: [{"name": name, "state": state, **more}]}


IMAGE_PULL = with_container(
    "containerStatuses", "facade", {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
)
INIT_ERROR = with_container(
    "initContainerStatuses",
    "storage-initializer",
    {"terminated": {"reason": "Error", "exitCode": 1, "message": "file:///store is not supported\n"}},
)
CRASH = with_container(
    "containerStatuses",
    "facade",
    {"waiting": {"reason": "CrashLoopBackOff"}},
    lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}},
)
CREATING = with_container("containerStatuses", "facade", {"waiting": {"reason": "ContainerCreating"}})
NOT_READY = with_container("containerStatuses", "facade", {"running": {}}, ready=False, restartCount=2)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("status", "warnings", "reason"),
    [
        (UNSCHEDULABLE, (), "Unschedulable (0/1 nodes are available: 1 Insufficient memory.)"),
        (IMAGE_PULL, (), "ImagePullBackOff (no such image)"),
        (INIT_ERROR, (), "Init:Error (file:///store is not supported)"),
        (CRASH, (), "OOMKilled (exit status 137)"),
        (CREATING, ("old", 'secret "api-keys" not found'), 'FailedMount (secret "api-keys" not found)'),
        (NOT_READY, (), "Starting (2 restarts)"),
    ],
    ids=["unschedulable", "image", "init", "crash", "volume", "probe"],
)
def test_wait_logs_why_a_pod_is_pending(env: DeployEnvironment, status: Any, warnings: Any, reason: str) -> None:
    env.api.objects.create(Key("deployments", "thale", "facade"), FACADE, ("thale-deploy", "Apply"))
    env.api.unready.add("facade")
    env.api.add_pod("facade-1", status, *warnings)
    with pytest.raises(NotReadyError) as caught:
        readiness.run(env.context(Environment.LAPTOP, wait_s=0.5))
    line = f"pod facade-1: {reason}"
    assert line in str(caught.value)
    assert env.output.getvalue().count(f"waiting: {line}") == 1, "a reason is logged once"


@pytest.mark.integration
def test_final_failure_has_the_reason_of_the_pod(env: DeployEnvironment) -> None:
    env.api.objects.create(Key("deployments", "thale", "facade"), FACADE, ("thale-deploy", "Apply"))
    env.api.unready.add("facade")
    env.api.failing.add("facade")
    env.api.add_pod("facade-1", IMAGE_PULL)
    with pytest.raises(NotReadyError, match=r"pod facade-1: ImagePullBackOff \(no such image\)"):
        readiness.run(env.context(Environment.LAPTOP, wait_s=60))


@pytest.mark.integration
def test_ready_pods_have_no_problem(env: DeployEnvironment) -> None:
    env.api.objects.create(Key("deployments", "thale", "facade"), FACADE, ("thale-deploy", "Apply"))
    env.api.add_pod("facade-1", {"conditions": [{"type": "Ready", "status": "True"}]})
    env.api.add_pod("register-models-1", {"phase": "Succeeded"})
    readiness.run(env.context(Environment.LAPTOP))
    assert "waiting:" not in env.output.getvalue()


@pytest.mark.integration
def test_readiness_requires_annotations_in_kserve_config(env: DeployEnvironment) -> None:
    env.api.objects.delete(KSERVE_CONFIG)
    with pytest.raises(NotReadyError, match=r"does not list release\.thale/canary.*deploy platform --env laptop"):
        readiness.run(env.context(Environment.LAPTOP))


@pytest.mark.integration
def test_unused_version_does_not_block_a_deploy(env: DeployEnvironment) -> None:
    """An interrupted canary leaves a predictor that never becomes ready. No request depends on it."""
    stable = {"name": "v1-0-0", "model": {"name": "kserve-container", "modelFormat": {"name": "thale"}}}
    live = {"metadata": {"name": "plate-seg", "namespace": "thale"}, "spec": {"predictor": stable}}
    uris = dict.fromkeys(("1.0.0", "1.1.0"), "pvc://store/models")
    resource = dict(inference_service.resource_from_release(make_release(), live, uris, ["1.1.0"]))
    env.api.objects.create(Key("inferenceservices", "thale", "plate-seg"), resource, ("thale-release", "Apply"))
    for version in ("v1-0-0", "v1-1-0"):
        key = Key("deployments", "thale", f"plate-seg-{version}-predictor")
        env.api.objects.create(key, FACADE, ("kserve", "Update"))
    env.api.unready.add("plate-seg-v1-1-0-predictor")
    readiness.run(env.context(Environment.LAPTOP, wait_s=0.5))
    env.api.unready.add("plate-seg-v1-0-0-predictor")
    with pytest.raises(NotReadyError, match="plate-seg-v1-0-0-predictor"):
        readiness.run(env.context(Environment.LAPTOP, wait_s=0.5))
