"""An image is named by what goes into it, and built only where nobody has built that yet."""

import pytest

from deploy.context import DeployContext
from deploy.errors import DeployError
from deploy.image_context import IMAGES, image_tag
from deploy.models import run as register
from deploy.settings import Environment
from deploy.steps import get_step
from tests.support.deploy_environment import REPOSITORY, DeployEnvironment

SERVICES, MODEL_SERVER = IMAGES


def test_a_tag_changes_with_what_goes_in_and_with_nothing_else(env: DeployEnvironment) -> None:
    context = env.context(Environment.LAPTOP)
    before = [image_tag(context, image) for image in IMAGES]
    (env.root / "docs").mkdir()
    (env.root / "docs" / "new.md").write_text("nothing of the image")
    (env.root / "services" / "thale" / "__pycache__").mkdir(exist_ok=True)
    (env.root / "services" / "thale" / "__pycache__" / "new.pyc").write_text("ignored")
    assert [image_tag(context, image) for image in IMAGES] == before
    (env.root / "services" / "Dockerfile").write_text("FROM scratch\n")
    assert image_tag(context, SERVICES) != before[0]
    assert image_tag(context, MODEL_SERVER) == before[1]
    (env.root / "services" / "thale" / "new.py").write_text("not yet added to git")
    assert image_tag(context, MODEL_SERVER) != before[1]


def test_a_dockerignore_that_does_not_name_what_goes_in_is_refused(env: DeployEnvironment) -> None:
    (env.root / ".dockerignore").write_text(".git\n")
    with pytest.raises(DeployError, match="must begin with `\\*`"):
        image_tag(env.context(Environment.LAPTOP), SERVICES)


def azure_context(env: DeployEnvironment) -> DeployContext:
    context = env.context(Environment.DEV)
    outputs = REPOSITORY / "deploy" / "tests" / "data" / "outputs.json"
    (context.folder / "outputs.json").write_bytes(outputs.read_bytes())
    return context


def test_a_build_that_fails_tells_the_end_of_its_log(env: DeployEnvironment) -> None:
    env.configure(faults=["az acr task run"])
    with pytest.raises(DeployError, match="no space left on device"):
        get_step("images").run(azure_context(env))


def test_the_image_that_registers_models_reaches_the_store_in_azure() -> None:
    dockerfile = (REPOSITORY / MODEL_SERVER.dockerfile).read_text()
    assert "--extra models --extra azure" in dockerfile


def test_a_model_that_cannot_be_registered_is_told_and_tried_anew(env: DeployEnvironment) -> None:
    context = env.context(Environment.LAPTOP)
    get_step("images").run(context)
    get_step("platform").run(context)
    register(context)
    (found,) = env.api.objects.list("jobs", "thale")
    env.api.failing.add(found["metadata"]["name"])
    with pytest.raises(DeployError, match="the default models were not registered"):
        register(context)
    assert any("delete" in call for call in env.calls("kubectl"))
    env.api.failing.clear()
    register(context)
