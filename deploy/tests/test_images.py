"""An image is named by what goes into it, and built only where nobody has built that yet."""

import pytest

from deploy.context import Job
from deploy.errors import DeployError
from deploy.image_context import IMAGES, tag_of
from deploy.models import run as register
from deploy.settings import Environment
from deploy.steps import step_named
from tests.support.deploy_environment import REPOSITORY, Stage

SERVICES, MODEL_SERVER = IMAGES


def test_a_tag_changes_with_what_goes_in_and_with_nothing_else(stage: Stage) -> None:
    job = stage.job(Environment.LAPTOP)
    before = [tag_of(job, image) for image in IMAGES]
    (stage.root / "docs").mkdir()
    (stage.root / "docs" / "new.md").write_text("nothing of the image")
    (stage.root / "services" / "thale" / "__pycache__").mkdir(exist_ok=True)
    (stage.root / "services" / "thale" / "__pycache__" / "new.pyc").write_text("ignored")
    assert [tag_of(job, image) for image in IMAGES] == before
    (stage.root / "services" / "Dockerfile").write_text("FROM scratch\n")
    assert tag_of(job, SERVICES) != before[0]
    assert tag_of(job, MODEL_SERVER) == before[1]
    (stage.root / "services" / "thale" / "new.py").write_text("not yet added to git")
    assert tag_of(job, MODEL_SERVER) != before[1]


def test_a_dockerignore_that_does_not_name_what_goes_in_is_refused(stage: Stage) -> None:
    (stage.root / ".dockerignore").write_text(".git\n")
    with pytest.raises(DeployError, match="must begin with `\\*`"):
        tag_of(stage.job(Environment.LAPTOP), SERVICES)


def azures(stage: Stage) -> Job:
    job = stage.job(Environment.DEV)
    outputs = REPOSITORY / "deploy" / "tests" / "data" / "outputs.json"
    (job.folder / "outputs.json").write_bytes(outputs.read_bytes())
    return job


def test_a_build_that_fails_tells_the_end_of_its_log(stage: Stage) -> None:
    stage.play(faults=["az acr task run"])
    with pytest.raises(DeployError, match="no space left on device"):
        step_named("images").run(azures(stage))


def test_the_image_that_registers_models_reaches_the_store_in_azure() -> None:
    dockerfile = (REPOSITORY / MODEL_SERVER.dockerfile).read_text()
    assert "--extra models --extra azure" in dockerfile


def test_a_model_that_cannot_be_registered_is_told_and_tried_anew(stage: Stage) -> None:
    job = stage.job(Environment.LAPTOP)
    step_named("images").run(job)
    step_named("platform").run(job)
    register(job)
    (found,) = stage.api.objects.list("jobs", "thale")
    stage.api.failing.add(found["metadata"]["name"])
    with pytest.raises(DeployError, match="the default models were not registered"):
        register(job)
    assert any("delete" in call for call in stage.calls("kubectl"))
    stage.api.failing.clear()
    register(job)
