"""Tests of the rebuild of a laptop cluster with all steps: saved releases return to a new cluster of the same name.

test_copies_in_the_store.py has the restoration from the copies, without the other steps.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import cluster as clusters
from deploy.day_two import release_copies
from deploy.day_two.rebuild import rebuild
from deploy.day_two.releases import plan_restore, read_releases, save_releases
from deploy.errors import DeployError
from deploy.settings import Environment
from tests.support.controller_pod import ControllerPod, promote
from tests.support.deploy_environment import REPOSITORY, DeployEnvironment
from tests.support.fake_kubernetes_objects import Key

SERVICE = Key("inferenceservices", "thale", "plate-seg")
PROMOTED = "v1-1-0"


@pytest.fixture(autouse=True)
def readiness_checks() -> None:
    """Use the real wait for readiness: the cluster has an API."""


@pytest.fixture
def pod(env: DeployEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ControllerPod:
    """The controller's pod, in which the restoration runs. The copies outlive the cluster."""
    pod = ControllerPod(env.api, tmp_path / "volume" / "releases")
    monkeypatch.setattr(release_copies, "_run_in_controller", pod.run)
    return pod


def recreate(env: DeployEnvironment) -> None:
    """Delete the cluster and create another one. The fake installer of add-ons adds no CRD."""
    definition = Key("customresourcedefinitions", "", "inferenceservices.serving.kserve.io")
    found = env.api.objects.get(definition)
    env.api.recreate()
    body = {key: found[key] for key in ("apiVersion", "kind")} | {"metadata": {}}
    env.api.objects.apply(definition, body, "kserve", force=False)


def predictor(env: DeployEnvironment) -> Any:
    return env.api.objects.get(SERVICE)["spec"]["predictor"]


@pytest.mark.integration
def test_rebuild_restores_the_promoted_version(env: DeployEnvironment, tmp_path: Path) -> None:
    context = env.context(Environment.LAPTOP)
    env.run_steps(context)
    promote(env.api, "plate-seg", "1.1.0")
    saved = tmp_path / "off-site" / "releases.yaml"
    assert save_releases(clusters.connect(context), saved) == ["plate-landmarks", "plate-seg"]
    recreate(env)
    seconds = rebuild(context, saved, apply=True)
    assert predictor(env)["name"] == PROMOTED
    assert predictor(env)["model"]["storageUri"] == "pvc://store/models/plate-seg/1.1.0/x"
    assert seconds.keys() == {"deploy", "releases"}
    assert "recovered in" in env.output.getvalue()
    assert plan_restore(context, clusters.connect(context), read_releases(saved)).actions == []
    env.run_steps(context)  # the next deploy keeps it
    assert predictor(env)["name"] == PROMOTED


@pytest.mark.integration
@pytest.mark.usefixtures("pod")
def test_rebuild_reads_the_committed_release_file(env: DeployEnvironment) -> None:
    context = env.context(Environment.LAPTOP)
    env.run_steps(context)
    promote(env.api, "plate-seg", "1.1.0")
    context.state_file.unlink()
    env.run_steps(context)  # writes release.yaml, which an organisation commits
    recreate(env)
    rebuild(context, None, apply=True)
    assert predictor(env)["name"] == PROMOTED


@pytest.mark.integration
def test_rebuild_without_apply_changes_nothing(env: DeployEnvironment, tmp_path: Path) -> None:
    context = env.context(Environment.LAPTOP)
    env.run_steps(context)
    saved = tmp_path / "releases.yaml"
    save_releases(clusters.connect(context), saved)
    calls = len(env.calls())
    assert rebuild(context, saved, apply=False) == {}
    assert len(env.calls()) == calls
    assert "releases to restore: plate-landmarks v1-0-0, plate-seg v1-0-0" in env.output.getvalue()


def test_committed_example_has_no_release_to_restore() -> None:
    with pytest.raises(DeployError, match="has no release: pass a file of save-releases"):
        read_releases(REPOSITORY / "kubernetes" / "overlays" / "laptop" / "release.yaml")


def test_read_releases_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r"nowhere\.yaml cannot be read"):
        read_releases(tmp_path / "nowhere.yaml")


@pytest.mark.integration
def test_save_releases_never_replaces_a_file_by_an_empty_one(env: DeployEnvironment, tmp_path: Path) -> None:
    path = tmp_path / "releases.yaml"
    path.write_text(yaml.safe_dump({"kind": "InferenceService"}))
    with pytest.raises(DeployError, match="the cluster has no release"):
        save_releases(clusters.connect(env.context(Environment.LAPTOP)), path)
    assert path.read_text()


@pytest.mark.integration
def test_restore_needs_the_objects_of_a_deploy(env: DeployEnvironment) -> None:
    context = env.context(Environment.LAPTOP)
    release = {"kind": "InferenceService", "metadata": {"name": "plate-seg"}, "spec": {"predictor": {"name": "v1"}}}
    (problem,) = plan_restore(context, clusters.connect(context), [release]).problems
    assert problem.remedy == "deploy first: make deploy"
