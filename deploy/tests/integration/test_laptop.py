"""Deploys to a laptop cluster: a first deploy, and a second one without changes."""

import pytest
import yaml

from deploy import readiness
from deploy.context import DeployContext
from deploy.errors import NotReadyError
from deploy.images import load_image_references
from deploy.plan import print_diff, print_plan
from deploy.release_file import write_release_file
from deploy.settings import Environment
from deploy.status import print_status
from deploy.steps import get_step
from tests.support.deploy_environment import DeployEnvironment
from tests.support.fake_kubernetes_objects import Key

pytestmark = pytest.mark.integration


def test_laptop_deploy_is_idempotent(env: DeployEnvironment) -> None:
    context = env.context(Environment.LAPTOP)
    output = env.run_steps(context)
    assert "all objects are ready" in output
    assert "https://thale.localhost at 127.0.0.1 (internal)" in output
    assert env.gateway.hosts == ["thale.localhost"]
    built = [call[3] for call in env.calls("docker", "build")]
    assert [reference.partition(":")[0] for reference in built] == ["thale-services", "thale-model-server"]
    assert [call[3] for call in env.calls("kind", "load", "docker-image")] == built

    objects = env.api.objects
    facade = objects.get(Key("deployments", "thale", "facade"))["spec"]["template"]["spec"]["containers"][0]
    assert (facade["image"], facade["imagePullPolicy"]) == (built[0], "IfNotPresent")
    policy = objects.get(Key("networkpolicies", "thale", "to-api-server"))
    assert policy["spec"]["egress"][0]["to"][0]["ipBlock"]["cidr"] == "172.18.0.2/32"
    assert policy["spec"]["egress"][0]["ports"] == [{"port": 8443}], "the port of the API server, as in minikube"
    (registration,) = objects.list("jobs", "thale")
    pod = registration["spec"]["template"]["spec"]
    assert pod["volumes"][1]["persistentVolumeClaim"] == {"claimName": "store"}
    assert pod["containers"][0]["image"] == built[1]

    version = objects.version
    env.clear_calls()
    output = env.run_steps(context)
    assert objects.version == version
    assert not env.calls("docker")[1:]  # the first call is the version check
    assert not env.calls("helm", "status")
    assert "no differences" in output
    assert output.count("unchanged since") == 3
    _check_printed_status(env, context)
    assert objects.version == version


def _check_printed_status(env: DeployEnvironment, context: DeployContext) -> None:
    """Check plan, diff and status, also for a pod that is no longer ready."""
    env.output.truncate(0)
    print_plan(context)
    print_diff(context)
    env.api.unready.add("facade")
    print_status(context)
    output = env.output.getvalue()
    for line in ("images: unchanged", "models: unchanged", "no differences", "deploy 1: ", "0 of 1 pods are ready"):
        assert line in output
    env.api.failing.add("plate-seg")
    with pytest.raises(NotReadyError, match="InferenceService plate-seg: loading"):
        readiness.run(context)


def test_podman_images_are_loaded_as_archives(env: DeployEnvironment) -> None:
    env.configure(engine="podman version 5.4.0")
    get_step("images").run(context := env.context(Environment.LAPTOP))
    built = [call[3] for call in env.calls("docker", "build")]
    assert [reference.partition(":")[0] for reference in built] == [
        "localhost/thale-services",
        "localhost/thale-model-server",
    ]
    assert [call[4] for call in env.calls("docker", "save")] == built
    assert [call[2] for call in env.calls("kind", "load")] == ["image-archive"] * 2
    assert [image.reference for image in load_image_references(context)] == built


def test_images_are_pushed_to_configured_registry(env: DeployEnvironment) -> None:
    get_step("images").run(context := env.context(Environment.LAPTOP, registry="localhost:5001"))
    write_release_file(context, load_image_references(context), ())
    pushed = [call[2] for call in env.calls("docker", "push")]
    assert [reference.rpartition(":")[0] for reference in pushed] == [
        "localhost:5001/thale/services",
        "localhost:5001/thale/model-server",
    ]
    assert not env.calls("kind")
    documents = list(yaml.safe_load_all((env.root / "kubernetes/overlays/laptop/release.yaml").read_text()))
    assert [document["imageTag"]["digest"] for document in documents] == [f"sha256:{'7' * 64}"] * 2
