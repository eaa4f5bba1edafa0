"""Overlays: equal sets of objects, facts, and release data."""

import shutil
from pathlib import Path

import pytest
import yaml

from deploy import signing_keys
from tests.support.manifests import KUBERNETES, ON_AZURE, OVERLAYS, Manifest, build, of_kind, overlay
from tests.support.strict_schemas import schema_faults
from thale.capacity.environment_limits import read_environment_limits
from thale.capacity.facade_cost import facade_cost_per_hour
from thale.capacity.nodes import read_prices
from thale.facade.settings import FacadeSettings
from thale.kserve.inference_service import release_from_resource
from tools.generate.runbook_urls import read_base_url

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
    if name != "laptop":  # Terraform creates the rules of Azure's Prometheus, with the same URL
        assert facts.pop("runbooks_url") == read_base_url()
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


def build_overlay_with(
    temp_dir: Path, name: str, release: str, components: str = "", facts: str = ""
) -> list[Manifest]:
    """Build an overlay with additions to its release.yaml, components and facts."""
    shutil.copytree(KUBERNETES, temp_dir / "kubernetes", ignore=shutil.ignore_patterns("tests", "__pycache__"))
    folder = temp_dir / "kubernetes" / "overlays" / name
    with (folder / "release.yaml").open("a") as file:
        file.write(release)
    with (folder / "facts.yaml").open("a") as file:
        file.write(facts)
    kustomization = folder / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("components:\n", f"components:\n{components}"))
    return build(folder)


@pytest.mark.slow
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


@pytest.mark.slow
def test_signing_keys_are_mounted_where_archives_are_checked(tmp_path: Path) -> None:
    facts = "  signing_public_keys: /etc/thale/signing-keys/a.pub:/etc/thale/signing-keys/b.pub\n"
    manifests = build_overlay_with(tmp_path, "aks-prod", "", "  - ../../components/signing-keys\n", facts)
    pod = of_kind(manifests, "Deployment")["release-watcher"]["spec"]["template"]["spec"]
    runtime = of_kind(manifests, "ServingRuntime")["thale-torchserve"]["spec"]
    for spec in (pod, runtime):
        (container,) = spec["containers"]
        value = {each["name"]: each.get("value") for each in container["env"]}["THALE_SIGNING_PUBLIC_KEYS"]
        (mount,) = [each for each in container["volumeMounts"] if each["name"] == "signing-keys"]
        (volume,) = [each for each in spec["volumes"] if each["name"] == "signing-keys"]
        assert [Path(path).parent.as_posix() for path in value.split(":")] == [mount["mountPath"]] * 2
        assert mount["readOnly"]
        assert volume["configMap"]["name"] == signing_keys.CONFIG_MAP
    assert not [fault for manifest in manifests for fault in schema_faults(manifest)]


@pytest.mark.parametrize("name", OVERLAYS)
def test_cost_per_hour_is_set_from_the_price_table(name: str) -> None:
    (container,) = of_kind(overlay(name), "Deployment")["facade"]["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    if name not in ON_AZURE:
        assert "THALE_COST_PER_HOUR" not in variables, "a laptop has no price"
        return
    cost = facade_cost_per_hour(read_environment_limits()[name.removeprefix("aks-")], read_prices())
    assert float(variables["THALE_COST_PER_HOUR"]) == pytest.approx(cost, abs=0.001)
    assert variables["THALE_CURRENCY"] == read_prices().currency


def test_alerts_link_to_the_runbooks_of_the_facts(tmp_path: Path) -> None:
    """`make deploy` writes the page of the fork into the facts; the committed rules have a placeholder."""
    url = "https://git.example.org/plants/thale/runbooks.md"
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes", ignore=shutil.ignore_patterns("__pycache__"))
    facts = tmp_path / "kubernetes" / "overlays" / "laptop" / "facts.yaml"
    facts.write_text(facts.read_text().replace(read_base_url(), url))
    found = of_kind(build(facts.parent), "PrometheusRule")["thale"]
    rules = [rule for group in found["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    assert rules
    for rule in rules:
        assert rule["annotations"]["runbook_url"] == f"{url}#{rule['alert'].lower()}"


def test_experiments_connect_by_identity_without_a_secret(tmp_path: Path) -> None:
    database = "postgresql://id-thale-prod-facade@psql-example.postgres.database.azure.com:5432/thale"
    blobs = "https://stexample.blob.core.windows.net/experiments"
    facts = f"  experiments_database_url: {database}\n  experiments_blob_url: {blobs}\n"
    component = "  - ../../components/azure-experiments\n"
    manifests = build_overlay_with(tmp_path, "aks-prod", "", component, facts)
    template = of_kind(manifests, "Deployment")["facade"]["spec"]["template"]
    assert template["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    environment = {each["name"]: each.get("value") for each in template["spec"]["containers"][0]["env"]}
    given = {name: value for name, value in environment.items() if name.startswith("THALE_EXPERIMENTS_")}
    settings = FacadeSettings(
        release_state_path="x", **{name.removeprefix("THALE_").lower(): each for name, each in given.items()}
    )
    assert (settings.experiments_database_url, settings.experiments_blob_url) == (database, blobs)
    assert settings.experiments_database_entra
    policies = {name: each["spec"] for name, each in of_kind(manifests, "NetworkPolicy").items()}
    policy = policies["facade-to-database"]
    [rule] = policy["egress"]
    assert rule["ports"] == [{"port": 5432}]
    assert rule["to"] == policies["identity-to-azure"]["egress"][0]["to"]
    assert (
        policies["facade-to-database"]["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    )
