"""Images are tagged by content and built only if the tag is missing."""

import re

import pytest

from deploy.context import DeployContext
from deploy.errors import DeployError
from deploy.image_context import IMAGES, build_context, image_tag
from deploy.models import run as register
from deploy.settings import Environment
from deploy.steps import get_step
from tests.support.deploy_environment import REPOSITORY, DeployEnvironment

SERVICES, MODEL_SERVER = IMAGES


@pytest.mark.integration
def test_tag_changes_only_with_image_content(env: DeployEnvironment) -> None:
    context = env.context(Environment.LAPTOP)
    before = [image_tag(context, image) for image in IMAGES]
    (env.root / "docs").mkdir()
    (env.root / "docs" / "new.md").write_text("not part of the image")
    (env.root / "services" / "thale" / "__pycache__").mkdir(exist_ok=True)
    (env.root / "services" / "thale" / "__pycache__" / "new.pyc").write_text("ignored")
    assert [image_tag(context, image) for image in IMAGES] == before
    (env.root / "services" / "Dockerfile").write_text("FROM scratch\n")
    assert image_tag(context, SERVICES) != before[0]
    assert image_tag(context, MODEL_SERVER) == before[1]
    (env.root / "services" / "thale" / "new.py").write_text("not yet added to git")
    assert image_tag(context, MODEL_SERVER) != before[1]


@pytest.mark.integration
def test_gpu_overlay_builds_the_model_server_for_cuda(env: DeployEnvironment) -> None:
    context = env.context(Environment.DEV)
    on_cpu = [image_tag(context, image) for image in IMAGES]
    kustomization = context.overlay / "kustomization.yaml"
    kustomization.write_text(
        kustomization.read_text().replace("components:\n", "components:\n  - ../../components/gpu\n")
    )
    assert [image_tag(context, image) for image in IMAGES] == [on_cpu[0], f"{on_cpu[1]}-cu130"]
    for image, device in ((SERVICES, None), (MODEL_SERVER, "cu130")):
        with build_context(context, image) as folder:
            dockerfile = (folder / image.dockerfile).read_text()
        assert re.findall(r"^ARG DEVICE=(.*)$", dockerfile, re.MULTILINE) == ([device] if device else [])
    assert "ARG DEVICE=cpu\n" in (context.root / MODEL_SERVER.dockerfile).read_text()


@pytest.mark.integration
def test_image_tag_rejects_dockerignore_deny_list(env: DeployEnvironment) -> None:
    (env.root / ".dockerignore").write_text(".git\n")
    with pytest.raises(DeployError, match="must begin with `\\*`"):
        image_tag(env.context(Environment.LAPTOP), SERVICES)


def azure_context(env: DeployEnvironment) -> DeployContext:
    context = env.context(Environment.DEV)
    outputs = REPOSITORY / "deploy" / "tests" / "data" / "outputs.json"
    (context.folder / "outputs.json").write_bytes(outputs.read_bytes())
    return context


@pytest.mark.integration
def test_failed_build_reports_end_of_log(env: DeployEnvironment) -> None:
    env.configure(faults=["az acr task run"])
    with pytest.raises(DeployError, match="no space left on device"):
        get_step("images").run(azure_context(env))


def test_model_server_image_includes_azure_extra() -> None:
    assert "requirements/model-server.txt" in (REPOSITORY / MODEL_SERVER.dockerfile).read_text()
    assert "\nazure-storage-blob==" in (REPOSITORY / "requirements" / "model-server.txt").read_text()


@pytest.mark.integration
def test_failed_registration_is_reported_and_retried(env: DeployEnvironment) -> None:
    context = env.context(Environment.LAPTOP)
    get_step("images").run(context)
    get_step("platform").run(context)
    register(context)
    (found,) = env.api.objects.list("jobs", "thale")
    env.api.failing.add(found["metadata"]["name"])
    with pytest.raises(DeployError, match="the registration of the default models failed"):
        register(context)
    assert any("delete" in call for call in env.calls("kubectl"))
    env.api.failing.clear()
    register(context)
