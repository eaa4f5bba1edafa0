"""The role assignments that CI may write and delete, by the condition of its role."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from tests.support.role_condition import AssignmentRequest, is_allowed
from tests.support.terraform_configuration import TerraformModule, expression, read_module, role_grants

CI = ("00000000-0000-0000-0000-0000000000d1", "00000000-0000-0000-0000-0000000000d2")
ADMINS = "00000000-0000-0000-0000-0000000000a1"
OTHER = "00000000-0000-0000-0000-0000000000ff"

ROLE_IDS = {
    # As bootstrap/roles.tf computes it for the subscription of this test.
    "thale cluster commands": str(uuid5(NAMESPACE_URL, "thale/cluster-commands/00000000-0000-0000-0000-000000000001")),
    "Owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "User Access Administrator": "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
    "Role Based Access Control Administrator": "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
    "Locks Contributor": "28bf596f-4eb7-45ce-b5bc-6cf482fec137",
    "AcrPush": "8311e382-0749-4cb8-b61a-304f252e45ec",
    "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Azure Kubernetes Service RBAC Cluster Admin": "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b",
}

DECISIONS = [
    # A role of a workload: to an identity of a resource, and never to CI or to a person.
    ("write", "AcrPush", "ServicePrincipal", OTHER, True),
    ("write", "Key Vault Secrets User", "ServicePrincipal", OTHER, True),
    ("write", "AcrPush", "ServicePrincipal", CI[0], False),
    ("write", "Key Vault Secrets User", "ServicePrincipal", CI[1], False),
    ("write", "Key Vault Secrets User", "User", OTHER, False),
    ("write", "Key Vault Secrets User", "Group", ADMINS, False),
    # A role of administrators: to their groups only.
    ("write", "Azure Kubernetes Service RBAC Cluster Admin", "Group", ADMINS, True),
    ("write", "Key Vault Secrets Officer", "Group", ADMINS, True),
    ("write", "thale cluster commands", "Group", ADMINS, True),
    ("write", "thale cluster commands", "Group", OTHER, False),
    ("write", "thale cluster commands", "ServicePrincipal", CI[0], False),
    ("write", "Azure Kubernetes Service RBAC Cluster Admin", "Group", OTHER, False),
    ("write", "Key Vault Secrets Officer", "Group", OTHER, False),
    ("write", "Azure Kubernetes Service RBAC Cluster Admin", "ServicePrincipal", CI[0], False),
    ("write", "Key Vault Secrets Officer", "ServicePrincipal", OTHER, False),
    ("write", "Key Vault Secrets Officer", "User", ADMINS, False),
    # Any other role: never.
    ("write", "Owner", "ServicePrincipal", OTHER, False),
    ("write", "Contributor", "Group", ADMINS, False),
    ("write", "User Access Administrator", "ServicePrincipal", CI[0], False),
    ("write", "Role Based Access Control Administrator", "ServicePrincipal", OTHER, False),
    ("write", "Locks Contributor", "ServicePrincipal", CI[0], False),
    # CI removes what azure/ no longer has, also from a group that bootstrap/ no longer lists.
    ("delete", "AcrPush", "ServicePrincipal", OTHER, True),
    ("delete", "Key Vault Secrets Officer", "Group", ADMINS, True),
    ("delete", "Key Vault Secrets Officer", "Group", OTHER, True),
    ("delete", "AcrPush", "ServicePrincipal", CI[1], False),
    ("delete", "Azure Kubernetes Service RBAC Cluster Admin", "ServicePrincipal", CI[0], False),
    ("delete", "Owner", "ServicePrincipal", OTHER, False),
    ("delete", "Contributor", "ServicePrincipal", CI[0], False),
    ("delete", "Key Vault Secrets Officer", "User", OTHER, False),
]


def rendered_condition(module: TerraformModule) -> str:
    """Return the condition with the ids of this test, from the files alone."""
    values = {
        "workload_role_ids": ", ".join(module.local_values["workload_roles"].values()),
        "admin_role_ids": ", ".join([*module.local_values["admin_roles"].values(), ROLE_IDS["thale cluster commands"]]),
        "admin_group_ids": ADMINS,
        "ci_ids": ", ".join(CI),
    }
    expected = {
        "workload_role_ids": 'join(", ", values(local.workload_roles))',
        "admin_role_ids": 'join(", ", concat(values(local.admin_roles), [local.command_role]))',
        "admin_group_ids": 'join(", ", var.admin_group_ids)',
        "ci_ids": 'join(", ", [for identity in azurerm_user_assigned_identity.ci : identity.principal_id])',
    }
    assert {name: expression(module.local_values[name]) for name in expected} == expected
    text = module.of_type("azurerm_role_assignment")["ci_assigns_known_roles"]["condition"]
    body = text.removeprefix("<<-EOT").removesuffix("EOT")
    return re.sub(r"\$\{local\.(\w+)\}", lambda match: values[match[1]], body)


@pytest.mark.parametrize(("operation", "role", "principal_type", "principal_id", "allowed"), DECISIONS)
def test_ci_condition_decides(operation: str, role: str, principal_type: str, principal_id: str, allowed: bool) -> None:
    request = AssignmentRequest(operation, ROLE_IDS[role], principal_type, principal_id)
    assert is_allowed(rendered_condition(read_module("bootstrap")), request) is allowed


@pytest.mark.integration
def test_planned_ci_condition_decides_alike(terraform: Callable[..., Any], workspace: Path) -> None:
    """The test file gives the identities of CI and the administrators' group the ids of this test."""
    folder = workspace / "bootstrap"
    result = terraform("test", "-json", "-verbose", "-filter=tests/condition.tftest.hcl", folder=folder)
    assert result.returncode == 0, result.stdout
    [plan] = [line["test_plan"] for line in map(json.loads, result.stdout.splitlines()) if "test_plan" in line]
    planned = {change["address"]: change["change"]["after"] for change in plan["resource_changes"]}
    for environment in ("dev", "staging"):
        after = planned[f'azurerm_role_assignment.ci_assigns_known_roles["{environment}"]']
        assert after["condition_version"] == "2.0"
        for operation, role, principal_type, principal_id, allowed in DECISIONS:
            request = AssignmentRequest(operation, ROLE_IDS[role], principal_type, principal_id)
            assert is_allowed(after["condition"], request) is allowed, request


@pytest.mark.slow
def test_ci_may_assign_exactly_the_roles_of_azure() -> None:
    listed = read_module("bootstrap").local_values
    grants = [grant for folder in ("azure", "modules/region") for grant in role_grants(read_module(folder))]
    by_type = {
        kind: {grant.role for grant in grants if grant.principal.startswith(kind)}
        for kind in ("ServicePrincipal", "Group")
    }
    tables = {
        kind: {name.strip('"') for name in listed[table] if not name.startswith("__")}
        for kind, table in (("ServicePrincipal", "workload_roles"), ("Group", "admin_roles"))
    }
    tables["Group"].add("local.command_role_id")
    assert tables == by_type


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        (
            "@Request[Microsoft.Authorization/roleAssignments:PrincipalId] ForAnyOfAnyValues:GuidNotEquals {%s, %s}",
            True,
        ),
        (
            "@Request[Microsoft.Authorization/roleAssignments:PrincipalId] ForAnyOfAllValues:GuidNotEquals {%s, %s}",
            False,
        ),
        ("@Resource[Microsoft.Authorization/roleAssignments:PrincipalId] ForAnyOfAnyValues:GuidEquals {%s, %s}", False),
    ],
)
def test_is_allowed_follows_the_quantifiers(condition: str, allowed: bool) -> None:
    request = AssignmentRequest("write", ROLE_IDS["AcrPush"], "ServicePrincipal", CI[0])
    assert is_allowed(condition % CI, request) is allowed


def test_is_allowed_rejects_unknown_syntax() -> None:
    with pytest.raises(ValueError, match="unknown syntax"):
        is_allowed("@Principal[x] StringEquals 'y'", AssignmentRequest("write", "", "", ""))
