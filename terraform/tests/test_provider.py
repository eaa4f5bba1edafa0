"""Settings of the provider, which no plan shows."""

import subprocess
from pathlib import Path
from typing import Any

import hcl2
import pytest

TERRAFORM = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def features() -> dict[str, Any]:
    options = hcl2.SerializationOptions(strip_string_quotes=True)
    settings = hcl2.loads((TERRAFORM / "azure" / "versions.tf").read_text(), serialization_options=options)
    (provider,) = [block["azurerm"] for block in settings["provider"] if "azurerm" in block]
    return {name: block[0] for name, block in provider["features"][0].items() if isinstance(block, list)}


def test_destroy_purges_machine_learning_workspaces(features: dict[str, Any]) -> None:
    assert features["machine_learning"]["purge_soft_deleted_workspace_on_destroy"] is True


def test_destroy_ignores_resources_of_azure_if_unprotected(features: dict[str, Any]) -> None:
    assert features["resource_group"]["prevent_deletion_if_contains_resources"] == "${var.deletion_protection}"


def test_destroy_never_purges_the_vault(features: dict[str, Any]) -> None:
    assert features["key_vault"]["purge_soft_delete_on_destroy"] is False


@pytest.mark.parametrize("folder", ["azure", "bootstrap"])
def test_git_does_not_ignore_the_lock_file(folder: str) -> None:
    path = f"{folder}/.terraform.lock.hcl"
    ignored = subprocess.run(["git", "check-ignore", "--quiet", path], cwd=TERRAFORM, timeout=60)
    assert ignored.returncode == 1, "commit the lock files that `make terraform-lock` writes"
