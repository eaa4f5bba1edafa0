import re

import pytest
import yaml

from tests.support.manifests import KUBERNETES, OVERLAYS, of_kind, overlay


def list_permissions(name: str, role: str) -> set[tuple[str, str, str]]:
    """Return (verb, resource, its name or nothing) of a Role."""
    return {
        (verb, resource, named)
        for rule in of_kind(overlay(name), "Role")[role]["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for named in rule.get("resourceNames", [""])
    }


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_facade_may_look_at_releases_and_at_nothing_else(name: str) -> None:
    assert list_permissions(name, "facade") == {(verb, "inferenceservices", "") for verb in ("get", "list", "watch")}


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_watcher_may_do_what_it_does_and_nothing_else(name: str) -> None:
    watch = "thale-release-watch"
    assert list_permissions(name, "release-watcher") == {
        *((verb, "inferenceservices", "") for verb in ("get", "list", "patch")),
        *(("create", kind, "") for kind in ("leases", "configmaps")),
        *((verb, "leases", watch) for verb in ("get", "update")),
        *((verb, "configmaps", watch) for verb in ("get", "patch")),
    }


@pytest.mark.parametrize("name", OVERLAYS)
def test_rights_end_at_the_namespace_and_have_no_wildcards(name: str) -> None:
    manifests = overlay(name)
    assert not {"ClusterRole", "ClusterRoleBinding"} & {found["kind"] for found in manifests}
    for role in of_kind(manifests, "Role").values():
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "secrets" not in rule["resources"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_each_role_is_bound_to_the_account_of_its_name_alone(name: str) -> None:
    for who, binding in of_kind(overlay(name), "RoleBinding").items():
        assert binding["roleRef"]["name"] == who
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": who, "namespace": "thale"}]
        assert of_kind(overlay(name), "Deployment")[who]["spec"]["template"]["spec"]["serviceAccountName"] == who


@pytest.mark.parametrize("name", OVERLAYS)
def test_only_who_has_an_identity_on_azure_carries_its_label(name: str) -> None:
    """And the watcher, which has one to ask the vault, is told which vault."""
    facts = yaml.safe_load((KUBERNETES / "overlays" / name / "facts.yaml").read_text())["data"]
    labelled = {
        who
        for who, deployment in of_kind(overlay(name), "Deployment").items()
        if "azure.workload.identity/use" in deployment["spec"]["template"]["metadata"]["labels"]
    }
    assert labelled == (set() if name == "laptop" else {"release-watcher"})
    (container,) = of_kind(overlay(name), "Deployment")["release-watcher"]["spec"]["template"]["spec"]["containers"]
    told = [entry["value"] for entry in container["env"] if entry["name"] == "THALE_KEY_VAULT"]
    assert told == ([] if name == "laptop" else [facts["key_vault"]])


def test_the_watcher_s_identity_shows_it_no_secret() -> None:
    identities = (KUBERNETES.parent / "terraform" / "azure" / "identities.tf").read_text()
    (watcher,) = re.findall(r"release-watcher = \{\n(.*?)\n    \}\n", identities, re.DOTALL)
    assert [*re.findall(r'role = "([^"]*)"', watcher)] == ["Storage Blob Data Reader", "Key Vault Reader"]
