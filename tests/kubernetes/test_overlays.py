"""Overlays: equal sets of objects, facts, and release data."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.support.manifests import KUBERNETES, ON_AZURE, OVERLAYS, Manifest, build, of_kind, overlay
from thale.kserve.inference_service import release_from_resource

PLACEHOLDERS = ("192.0.2.", ".invalid", ":unset")


def list_texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for entry in value.values() for text in list_texts(entry)]
    if isinstance(value, list):
        return [text for entry in value for text in list_texts(entry)]
    return [str(value)]


def test_overlays_have_the_same_objects() -> None:
    objects = {
        name: {
            (found["kind"], found["metadata"].get("namespace"), found["metadata"]["name"]) for found in overlay(name)
        }
        for name in OVERLAYS
    }
    rules, tokens = ("PrometheusRule", "thale", "thale"), ("SecurityPolicy", "thale", "tokens")
    for name in OVERLAYS:
        assert (rules in objects[name]) == (name == "laptop"), "on Azure, Terraform creates the rules"
        assert (tokens in objects[name]) == (name in ON_AZURE), "a laptop has API keys only"
        assert objects[name] - {rules, tokens} == objects["laptop"] - {rules}, name


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlay_has_its_namespace_and_no_placeholders(name: str) -> None:
    for found in overlay(name):
        if found["kind"] != "Namespace":
            reads_kserve = found["metadata"]["name"] == "thale-release-watcher"
            assert found["metadata"]["namespace"] == ("kserve" if reads_kserve else "thale")
        if name == "laptop" and found["metadata"]["name"] == "identity-to-azure":
            continue  # it selects pods with an Azure identity, which a laptop does not have
        for text in list_texts(found):
            assert not any(placeholder in text for placeholder in PLACEHOLDERS), (
                f"{found['kind']} {found['metadata']['name']}: {text}"
            )


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlay_has_only_choices_and_two_data_files(name: str) -> None:
    folder = KUBERNETES / "overlays" / name
    assert {path.name for path in folder.iterdir()} == {"kustomization.yaml", "facts.yaml", "release.yaml"}
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert kustomization.keys() == {"apiVersion", "kind", "resources", "components", "transformers"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_scrape_targets_have_job_and_environment_labels(name: str) -> None:
    facts = yaml.safe_load((KUBERNETES / "overlays" / name / "facts.yaml").read_text())["data"]
    jobs = {}
    for kind, endpoints in (("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")):
        for monitor, manifest in of_kind(overlay(name), kind).items():
            (endpoint,) = manifest["spec"][endpoints]
            labels = {rule["targetLabel"]: rule["replacement"] for rule in endpoint["relabelings"]}
            assert labels["environment"] == facts["environment"]
            if "job" in labels:
                jobs[monitor] = labels["job"]
    assert jobs == {"facade": "thale-facade", "release-watcher": "thale-watcher", "predictors": "thale-models"}


@pytest.mark.parametrize("name", ON_AZURE)
def test_each_fact_is_used(name: str) -> None:
    facts = yaml.safe_load((KUBERNETES / "overlays" / name / "facts.yaml").read_text())["data"]
    blobs = facts.pop("blob_endpoint").removeprefix("https://").rstrip("/")
    texts = list_texts(list(overlay(name)))
    for fact, value in {**facts, "blobs": blobs}.items():
        assert any(value in text for text in texts), f"no manifest uses {fact}"


@pytest.mark.parametrize("name", ON_AZURE)
def test_identities_match_terraform(name: str) -> None:
    facts = yaml.safe_load((KUBERNETES / "overlays" / name / "facts.yaml").read_text())["data"]
    for account in ("facade", "model-server", "release-watcher"):
        annotations = of_kind(overlay(name), "ServiceAccount")[account]["metadata"]["annotations"]
        assert annotations["azure.workload.identity/client-id"] == facts[f"client_id_{account.replace('-', '_')}"]
        assert (
            f'service_account = "{account}"'
            in (KUBERNETES.parent / "terraform" / "azure" / "identities.tf").read_text()
        )


def build_overlay_with(temp_dir: Path, name: str, release: str, components: str = "") -> list[Manifest]:
    """Build an overlay with additions to its release.yaml and components."""
    shutil.copytree(KUBERNETES, temp_dir / "kubernetes", ignore=shutil.ignore_patterns("tests", "__pycache__"))
    folder = temp_dir / "kubernetes" / "overlays" / name
    with (folder / "release.yaml").open("a") as file:
        file.write(release)
    kustomization = folder / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("components:\n", f"components:\n{components}"))
    return build(folder)


def test_release_yaml_can_set_the_live_release(tmp_path: Path) -> None:
    live = of_kind(overlay("aks-prod"), "InferenceService")["plate-seg"]
    versions = live["metadata"]["annotations"]["release.thale/versions"].replace("1.0.0", "1.1.0")
    patch = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "plate-seg", "annotations": {"release.thale/versions": versions}},
        "spec": {"predictor": {"name": "v1-1-0"}},
    }
    transformer = {
        "apiVersion": "builtin",
        "kind": "PatchTransformer",
        "metadata": {"name": "plate-seg"},
        "target": {"kind": "InferenceService", "name": "plate-seg"},
        "patch": yaml.safe_dump(patch),
    }
    manifests = build_overlay_with(tmp_path, "aks-prod", "---\n" + yaml.safe_dump(transformer))
    assert release_from_resource(of_kind(manifests, "InferenceService")["plate-seg"]).stable == "1.1.0"
