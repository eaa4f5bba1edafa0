"""Kubernetes roles and Azure identities have the least privileges."""

import hcl2
import pytest
import yaml

from tests.support.manifests import KUBERNETES, OVERLAYS, of_kind, overlay
from thale.kserve import propagation

KSERVE_CONFIG_READER = "thale-release-watcher"


def list_permissions(name: str, role: str) -> set[tuple[str, str, str]]:
    """Return (verb, resource, resource name or empty string) of each permission of a Role."""
    return {
        (verb, resource, resource_name)
        for rule in of_kind(overlay(name), "Role")[role]["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for resource_name in rule.get("resourceNames", [""])
    }


@pytest.mark.parametrize("name", OVERLAYS)
def test_facade_may_only_read_releases(name: str) -> None:
    assert list_permissions(name, "facade") == {(verb, "inferenceservices", "") for verb in ("get", "list", "watch")}


@pytest.mark.parametrize("name", OVERLAYS)
def test_controller_has_only_its_permissions(name: str) -> None:
    object_name = "thale-release-watch"
    assert list_permissions(name, "release-watcher") == {
        *((verb, "inferenceservices", "") for verb in ("get", "list", "watch", "patch")),
        *(("list", kind, "") for kind in ("pods", "events")),
        *(("create", kind, "") for kind in ("leases", "configmaps")),
        *((verb, "leases", object_name) for verb in ("get", "update")),
        *((verb, "configmaps", object_name) for verb in ("get", "patch")),
    }
    assert list_permissions(name, KSERVE_CONFIG_READER) == {("get", "configmaps", propagation.CONFIG_NAME)}


@pytest.mark.parametrize("name", OVERLAYS)
def test_right_to_read_configuration_is_in_its_namespace(name: str) -> None:
    for kind in ("Role", "RoleBinding"):
        metadata = of_kind(overlay(name), kind)[KSERVE_CONFIG_READER]["metadata"]
        assert metadata["namespace"] == propagation.CONFIG_NAMESPACE


@pytest.mark.parametrize("name", OVERLAYS)
def test_roles_are_namespaced_without_wildcards(name: str) -> None:
    manifests = overlay(name)
    assert not {"ClusterRole", "ClusterRoleBinding"} & {found["kind"] for found in manifests}
    for role in of_kind(manifests, "Role").values():
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "secrets" not in rule["resources"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_roles_are_bound_to_accounts_of_the_same_name(name: str) -> None:
    for role, binding in of_kind(overlay(name), "RoleBinding").items():
        account = "release-watcher" if role == KSERVE_CONFIG_READER else role
        assert binding["roleRef"]["name"] == role
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "thale"}]
        pod = of_kind(overlay(name), "Deployment")[account]["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == account


@pytest.mark.parametrize("name", OVERLAYS)
def test_deployments_that_read_the_vault_have_an_identity(name: str) -> None:
    """The facade reads API keys, and the controller the expiry of secrets."""
    facts = yaml.safe_load((KUBERNETES / "overlays" / name / "facts.yaml").read_text())["data"]
    labelled = {
        deployment_name
        for deployment_name, deployment in of_kind(overlay(name), "Deployment").items()
        if "azure.workload.identity/use" in deployment["spec"]["template"]["metadata"]["labels"]
    }
    assert labelled == (set() if name == "laptop" else {"facade", "release-watcher"})
    for deployment in ("facade", "release-watcher"):
        (container,) = of_kind(overlay(name), "Deployment")[deployment]["spec"]["template"]["spec"]["containers"]
        vaults = [entry["value"] for entry in container["env"] if entry["name"] == "THALE_KEY_VAULT"]
        assert vaults == ([] if name == "laptop" else [facts["key_vault"]])


@pytest.mark.slow
def test_controller_identity_cannot_read_secrets() -> None:
    options = hcl2.SerializationOptions(strip_string_quotes=True)
    identities = hcl2.loads(
        (KUBERNETES.parent / "terraform" / "azure" / "identities.tf").read_text(), serialization_options=options
    )
    (workloads,) = (block["workloads"] for block in identities["locals"] if "workloads" in block)
    roles = {scope: role for scope, role in workloads["release-watcher"]["roles"].items() if scope != "__comments__"}
    assert roles == {
        "models": "Storage Blob Data Reader",
        "releases": "Storage Blob Data Contributor",
        "secrets": "Key Vault Reader",
    }
