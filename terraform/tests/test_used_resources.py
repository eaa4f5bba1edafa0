"""Each identity and each store that Terraform creates by default is used by a manifest or by `make deploy`."""

import re

import pytest

from tests.support.terraform_configuration import ENVIRONMENTS, TERRAFORM, expression, read_module, read_tfvars

REPOSITORY = TERRAFORM.parent

USERS = {
    "facade": ("kubernetes/components/azure-blob/kustomization.yaml", "data.client_id_facade"),
    "model-server": ("kubernetes/components/azure-blob/kustomization.yaml", "data.client_id_model_server"),
    "release-watcher": ("kubernetes/components/azure-blob/kustomization.yaml", "data.client_id_release_watcher"),
    "keda": ("kubernetes/components/azure-monitor/kustomization.yaml", "data.client_id_keda"),
    "trainer": ("deploy/models.py", 'facts["client_ids"]["trainer"]'),
}
"""The file that uses the identity of each workload, and the text that does."""

SCOPES = {
    "models": ("deploy/models.py", "/models"),
    "releases": ("kubernetes/components/azure-blob/kustomization.yaml", "/releases"),
    "secrets": ("kubernetes/components/azure-authentication/kustomization.yaml", "data.key_vault"),
    "metrics": ("kubernetes/components/environment/kustomization.yaml", "data.prometheus_query"),
}
"""The file that uses each scope of a workload's role, and the text that does."""

OPTIONS = ("experiments_enabled", "machine_learning", "edge", "secondary_location")
"""Options that create resources for features that no environment uses yet."""


def test_each_workload_identity_is_used() -> None:
    workloads = read_module("azure").local_values["workloads"]
    assert {name.strip('"') for name in workloads if not name.startswith("__")} == USERS.keys()
    identities = read_module("azure").of_type("azurerm_user_assigned_identity")["workload"]
    assert set(re.findall(r'"([\w-]+)"', expression(identities["for_each"]))) == USERS.keys()
    for file, text in USERS.values():
        assert text in (REPOSITORY / file).read_text()


def test_each_scope_of_a_workload_is_used() -> None:
    workloads = read_module("azure").local_values["workloads"]
    roles = [entry["roles"] for name, entry in workloads.items() if not name.startswith("__")]
    assert {scope for each in roles for scope in each if not scope.startswith("__")} == SCOPES.keys()
    for file, text in SCOPES.values():
        assert text in (REPOSITORY / file).read_text()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_environment_sets_no_option(environment: str) -> None:
    variables = read_module("azure").variables
    assert all(expression(variables[option]["default"]) in ("None", "null", "False") for option in OPTIONS)
    assert not [option for option in OPTIONS if read_tfvars(environment).get(option)]


def test_store_of_experiments_is_optional_and_used() -> None:
    azure = read_module("azure")
    containers = azure.of_type("azurerm_storage_container")
    assert expression(containers["this"]["for_each"]) == 'toset(["models", "releases"])'
    assert containers.keys() == {"this", "experiments"}
    assert not azure.of_type("azurerm_storage_queue")
    server = azure.of_type("azurerm_postgresql_flexible_server")["experiments"]
    for block in (containers["experiments"], server):
        assert expression(block["count"]) == "var.experiments_enabled ? 1 : 0"
    component = (REPOSITORY / "kubernetes/components/azure-experiments/kustomization.yaml").read_text()
    outputs = (TERRAFORM / "azure" / "outputs.tf").read_text()
    for fact in ("database_url", "blob_url"):
        assert f"data.experiments_{fact}" in component
        assert re.search(rf"^ +{fact} += .*experiments|^ +{fact} += .*server\.fqdn", outputs, re.MULTILINE)
