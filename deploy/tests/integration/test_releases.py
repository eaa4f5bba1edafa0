"""Deploys and releases do not revert each other."""

import json

import pytest

from deploy import cluster as clusters
from deploy import overlay
from deploy.context import DeployContext
from deploy.destroy import destroy
from deploy.errors import DeployError, ForbiddenOperationError, ReleaseChangedError
from deploy.history import load_history
from deploy.release_file import merge_releases
from deploy.rollback import roll_back
from deploy.settings import Environment
from deploy.steps import get_step
from tests.support.deploy_environment import REPOSITORY, DeployEnvironment
from tests.support.fake_kubernetes_objects import Key

pytestmark = pytest.mark.integration

SEGMENTER = Key("inferenceservices", "thale", "plate-seg")


def deploy_once(env: DeployEnvironment) -> DeployContext:
    context = env.context(Environment.LAPTOP)
    for name in ("facts", "images", "platform", "credentials", "overlay"):
        get_step(name).run(context)
    return context


def apply_release(env: DeployEnvironment, version: str) -> None:
    """Apply another version as `thale release` does, with ownership of the release's fields."""
    live = env.api.objects.get(SEGMENTER)
    predictor = f"v{version.replace('.', '-')}"
    annotations = {
        name: text.replace('"1.0.0"', f'"{version}"')
        for name, text in live["metadata"]["annotations"].items()
        if name.startswith("release.thale/")
    }
    annotations |= {"release.thale/canary": "9.9.9", "release.thale/weight": "5.0"}
    model = {"name": "kserve-container", "modelFormat": {"name": "thale"}, "storageUri": f"pvc://store/{version}"}
    body = {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": {"annotations": annotations},
        "spec": {"predictor": {"name": predictor, "model": model}},
    }
    env.api.objects.apply(SEGMENTER, body, overlay.RELEASE_FIELD_MANAGER, force=True)


def live_predictor(env: DeployEnvironment) -> tuple[str, str]:
    found = env.api.objects.get(SEGMENTER)["spec"]["predictor"]
    return found["name"], found["model"]["storageUri"]


def facade_image(env: DeployEnvironment) -> str:
    template = env.api.objects.get(Key("deployments", "thale", "facade"))["spec"]["template"]
    return str(template["spec"]["containers"][0]["image"])


def test_deploy_preserves_release_and_running_rollout(env: DeployEnvironment) -> None:
    context = deploy_once(env)
    apply_release(env, "1.1.0")
    (env.root / "constraints.txt").write_text("# another image\n")
    for name in ("images", "overlay"):
        get_step(name).run(context)
    assert live_predictor(env) == ("v1-1-0", "pvc://store/1.1.0")
    owners = env.api.objects.get(SEGMENTER)["metadata"]["managedFields"]
    (ours,) = [entry for entry in owners if entry["manager"] == clusters.FIELD_MANAGER]
    assert "f:release.thale/canary" not in ours["fieldsV1"]["f:metadata"]["f:annotations"]


def test_rollback_restores_manifests_but_not_models(env: DeployEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    context = deploy_once(env)
    first = facade_image(env)
    with pytest.raises(DeployError, match="no earlier deploy to restore"):
        roll_back(context)
    (env.root / "constraints.txt").write_text("# another image\n")
    for name in ("images", "overlay"):
        get_step(name).run(context)
    assert facade_image(env) != first
    apply_release(env, "1.1.0")
    roll_back(context)
    assert facade_image(env) == first
    assert live_predictor(env) == ("v1-1-0", "pvc://store/1.1.0")
    assert "thale release rollback" in env.output.getvalue()
    history = load_history(clusters.connect(context))
    assert [(record.number, record.restores) for record in history] == [(1, None), (2, None), (3, 1)]
    with pytest.raises(DeployError, match="no earlier deploy to restore"):
        roll_back(context)


@pytest.mark.parametrize(
    ("manager", "error", "expected"),
    [
        ("other-tool", DeployError, "other-tool owns these fields"),
        (overlay.RELEASE_FIELD_MANAGER, ReleaseChangedError, "`thale release` changed a release"),
    ],
)
def test_apply_reports_conflict_without_taking_fields(
    env: DeployEnvironment, manager: str, error: type[DeployError], expected: str
) -> None:
    context = env.context(Environment.LAPTOP)
    env.api.objects.apply(env.key("namespaces", "thale"), {"metadata": {}}, "thale-platform", force=False)
    key = Key("configmaps", "thale", "limits")
    limits = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits", "namespace": "thale"}}
    env.api.objects.apply(key, {**limits, "data": {"plates": "1"}}, manager, force=False)
    (context.folder / "limits.yaml").write_text(json.dumps({**limits, "data": {"plates": "2"}}))
    with pytest.raises(error, match=expected) as caught:
        overlay.apply(clusters.connect(context), context.folder / "limits.yaml")
    assert ".data.plates" in str(caught.value)
    assert env.api.objects.get(key)["data"] == {"plates": "1"}


def test_destroy_rejects_protected_environment(env: DeployEnvironment) -> None:
    with pytest.raises(
        ForbiddenOperationError, match=r"deletion_protection = false in terraform/environments/prod.tfvars"
    ):
        destroy(env.context(Environment.PROD), lambda text: "prod")
    assert not env.calls("terraform")


def test_destroy_deletes_namespace_after_confirmation(env: DeployEnvironment) -> None:
    context = env.context(Environment.LAPTOP)
    namespace = env.key("namespaces", "thale")
    env.api.objects.apply(
        namespace, {"apiVersion": "v1", "kind": "Namespace", "metadata": {}}, "thale-platform", force=False
    )
    with pytest.raises(ForbiddenOperationError, match="the name does not match"):
        destroy(context, lambda text: "yes")
    assert env.api.objects.get(namespace)
    destroy(context, lambda text: "laptop")
    assert "thale" not in {each["metadata"]["name"] for each in env.api.objects.list("namespaces", "")}


def test_release_field_manager_matches_kserve_target() -> None:
    source = (REPOSITORY / "services/thale/release/targets/kserve.py").read_text()
    assert f'FIELD_MANAGER = "{overlay.RELEASE_FIELD_MANAGER}"' in source


def test_merge_releases_updates_earlier_manifests() -> None:
    earlier = {
        "kind": "InferenceService",
        "metadata": {"name": "plate-seg", "labels": {"a": "b"}},
        "spec": {"predictor": {"name": "v1-0-0", "minReplicas": 2}},
    }
    live = {"metadata": {"name": "plate-seg"}, "spec": {"predictor": {"name": "v1-1-0"}}}
    (merged,) = merge_releases([earlier], [live])
    assert merged["spec"]["predictor"] == {"name": "v1-1-0", "minReplicas": 2}
    assert merged["metadata"]["labels"] == {"a": "b"}
