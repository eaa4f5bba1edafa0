"""Deploys and releases: neither takes the other's back."""

import json

import pytest

from deploy import cluster as clusters
from deploy import overlay
from deploy.context import Job
from deploy.destroy import destroy
from deploy.errors import DeployError, RefusedError, ReleaseChangedError
from deploy.history import records
from deploy.release_file import with_releases
from deploy.rollback import roll_back
from deploy.settings import Environment
from deploy.steps import step_named
from tests.support.deploy_environment import REPOSITORY, Stage
from tests.support.fake_kubernetes_objects import Key

SEGMENTER = Key("inferenceservices", "thale", "plate-seg")


def deployed(stage: Stage) -> Job:
    job = stage.job(Environment.LAPTOP)
    for name in ("facts", "images", "platform", "overlay"):
        step_named(name).run(job)
    return job


def released(stage: Stage, version: str) -> None:
    """Do what `thale release` does: it takes the release's fields, and brings another version."""
    live = stage.api.objects.get(SEGMENTER)
    predictor = f"v{version.replace('.', '-')}"
    notes = {
        name: text.replace('"1.0.0"', f'"{version}"')
        for name, text in live["metadata"]["annotations"].items()
        if name.startswith("release.thale/")
    }
    notes |= {"release.thale/canary": "9.9.9", "release.thale/weight": "5.0"}
    model = {"name": "kserve-container", "modelFormat": {"name": "thale"}, "storageUri": f"pvc://store/{version}"}
    body = {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": {"annotations": notes},
        "spec": {"predictor": {"name": predictor, "model": model}},
    }
    stage.api.objects.apply(SEGMENTER, body, overlay.RELEASES_MANAGER, force=True)


def predictor(stage: Stage) -> tuple[str, str]:
    found = stage.api.objects.get(SEGMENTER)["spec"]["predictor"]
    return found["name"], found["model"]["storageUri"]


def image(stage: Stage) -> str:
    template = stage.api.objects.get(Key("deployments", "thale", "facade"))["spec"]["template"]
    return str(template["spec"]["containers"][0]["image"])


def test_a_deploy_leaves_a_release_and_a_running_rollout_as_they_are(stage: Stage) -> None:
    job = deployed(stage)
    released(stage, "1.1.0")
    (stage.root / "constraints.txt").write_text("# another image\n")
    for name in ("images", "overlay"):
        step_named(name).run(job)
    assert predictor(stage) == ("v1-1-0", "pvc://store/1.1.0")
    owners = stage.api.objects.get(SEGMENTER)["metadata"]["managedFields"]
    (ours,) = [entry for entry in owners if entry["manager"] == clusters.FIELD_MANAGER]
    assert "f:release.thale/canary" not in ours["fieldsV1"]["f:metadata"]["f:annotations"]


def test_a_rollback_puts_images_and_manifests_back_and_leaves_the_models(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = deployed(stage)
    first = image(stage)
    with pytest.raises(DeployError, match="no deploy before this one"):
        roll_back(job)
    (stage.root / "constraints.txt").write_text("# another image\n")
    for name in ("images", "overlay"):
        step_named(name).run(job)
    assert image(stage) != first
    released(stage, "1.1.0")
    roll_back(job)
    assert image(stage) == first
    assert predictor(stage) == ("v1-1-0", "pvc://store/1.1.0")
    assert "thale release rollback" in stage.said.getvalue()
    known = records(clusters.connect(job))
    assert [(record.number, record.restores) for record in known] == [(1, None), (2, None), (3, 1)]
    with pytest.raises(DeployError, match="no deploy before this one"):
        roll_back(job)


@pytest.mark.parametrize(
    ("manager", "error", "told"),
    [
        ("somebody", DeployError, "somebody holds these fields"),
        (overlay.RELEASES_MANAGER, ReleaseChangedError, "`thale release` changed a release"),
    ],
)
def test_what_somebody_else_holds_is_named_and_not_taken(
    stage: Stage, manager: str, error: type[DeployError], told: str
) -> None:
    job = stage.job(Environment.LAPTOP)
    stage.api.objects.apply(stage.key("namespaces", "thale"), {"metadata": {}}, "thale-platform", force=False)
    place = Key("configmaps", "thale", "limits")
    limits = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits", "namespace": "thale"}}
    stage.api.objects.apply(place, {**limits, "data": {"plates": "1"}}, manager, force=False)
    (job.folder / "limits.yaml").write_text(json.dumps({**limits, "data": {"plates": "2"}}))
    with pytest.raises(error, match=told) as caught:
        overlay.apply(clusters.connect(job), job.folder / "limits.yaml")
    assert ".data.plates" in str(caught.value)
    assert stage.api.objects.get(place)["data"] == {"plates": "1"}


def test_what_an_environment_protects_is_not_destroyed(stage: Stage) -> None:
    with pytest.raises(RefusedError, match=r"deletion_lock = false in terraform/environments/prod.tfvars"):
        destroy(stage.job(Environment.PROD), lambda question: "prod")
    assert not stage.calls("terraform")


def test_a_laptops_namespace_goes_after_its_name_was_typed(stage: Stage) -> None:
    job = stage.job(Environment.LAPTOP)
    namespace = stage.key("namespaces", "thale")
    stage.api.objects.apply(
        namespace, {"apiVersion": "v1", "kind": "Namespace", "metadata": {}}, "thale-platform", force=False
    )
    with pytest.raises(RefusedError, match="that is not its name"):
        destroy(job, lambda question: "yes")
    assert stage.api.objects.get(namespace)
    destroy(job, lambda question: "laptop")
    assert not stage.api.objects.list("namespaces", "")


def test_the_release_engine_is_known_by_its_name() -> None:
    source = (REPOSITORY / "services/thale/release/targets/kserve.py").read_text()
    assert f'FIELD_MANAGER = "{overlay.RELEASES_MANAGER}"' in source


def test_manifests_of_an_earlier_deploy_get_todays_releases() -> None:
    before = {
        "kind": "InferenceService",
        "metadata": {"name": "plate-seg", "labels": {"a": "b"}},
        "spec": {"predictor": {"name": "v1-0-0", "minReplicas": 2}},
    }
    today = {"metadata": {"name": "plate-seg"}, "spec": {"predictor": {"name": "v1-1-0"}}}
    (merged,) = with_releases([before], [today])
    assert merged["spec"]["predictor"] == {"name": "v1-1-0", "minReplicas": 2}
    assert merged["metadata"]["labels"] == {"a": "b"}
