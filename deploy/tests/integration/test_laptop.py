"""A laptop's cluster, from an empty one to a second deploy that has nothing to do; and back again."""

import pytest
import yaml

from deploy import readiness
from deploy.context import Job
from deploy.errors import NotReadyError
from deploy.images import images
from deploy.plan import tell_diff, tell_plan
from deploy.release_file import write_release_file
from deploy.settings import Environment
from deploy.status import tell
from deploy.steps import step_named
from tests.support.deploy_environment import Stage
from tests.support.fake_kubernetes_objects import Key


def test_a_laptops_cluster_is_deployed_to_and_the_second_time_nothing_is_done(stage: Stage) -> None:
    job = stage.job(Environment.LAPTOP)
    said = stage.run_all(job)
    assert "everything is ready" in said
    assert "https://thale.localhost at 127.0.0.1 (internal)" in said
    assert stage.gateway.asked == ["thale.localhost"]
    built = [call[3] for call in stage.calls("docker", "build")]
    assert [reference.partition(":")[0] for reference in built] == ["thale-services", "thale-model-server"]
    assert [call[3] for call in stage.calls("kind", "load", "docker-image")] == built

    objects = stage.api.objects
    facade = objects.get(Key("deployments", "thale", "facade"))["spec"]["template"]["spec"]["containers"][0]
    assert (facade["image"], facade["imagePullPolicy"]) == (built[0], "IfNotPresent")
    policy = objects.get(Key("networkpolicies", "thale", "to-api-server"))
    assert policy["spec"]["egress"][0]["to"][0]["ipBlock"]["cidr"] == "172.18.0.2/32"
    (registering,) = objects.list("jobs", "thale")
    pod = registering["spec"]["template"]["spec"]
    assert pod["volumes"][1]["persistentVolumeClaim"] == {"claimName": "store"}
    assert pod["containers"][0]["image"] == built[1]

    version = objects.version
    stage.forget_calls()
    said = stage.run_all(job)
    assert objects.version == version
    assert not stage.calls("docker")[1:]  # its version was asked for
    assert not stage.calls("helm", "status")
    assert "nothing differs" in said
    assert said.count("unchanged since") == 3
    _check_what_is_told(stage, job)
    assert objects.version == version


def _check_what_is_told(stage: Stage, job: Job) -> None:
    """Ask for plan, diff and status: they say how it is, also when a pod is no longer ready."""
    stage.said.truncate(0)
    tell_plan(job)
    tell_diff(job)
    stage.api.unready.add("facade")
    tell(job)
    said = stage.said.getvalue()
    for line in ("images: unchanged", "models: unchanged", "nothing differs", "deploy 1: ", "0 of 1 pods are ready"):
        assert line in said
    stage.api.failing.add("plate-seg")
    with pytest.raises(NotReadyError, match="InferenceService plate-seg: loading"):
        readiness.run(job)


def test_a_registry_that_was_named_is_pushed_to(stage: Stage) -> None:
    step_named("images").run(job := stage.job(Environment.LAPTOP, registry="localhost:5001"))
    write_release_file(job, images(job), ())
    pushed = [call[2] for call in stage.calls("docker", "push")]
    assert [reference.rpartition(":")[0] for reference in pushed] == [
        "localhost:5001/thale/services",
        "localhost:5001/thale/model-server",
    ]
    assert not stage.calls("kind")
    documents = list(yaml.safe_load_all((stage.root / "kubernetes/overlays/laptop/release.yaml").read_text()))
    assert [document["imageTag"]["digest"] for document in documents] == [f"sha256:{'7' * 64}"] * 2
