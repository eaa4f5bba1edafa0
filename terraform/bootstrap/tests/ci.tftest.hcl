# Permissions of CI and storage of the state, with a mocked provider.

mock_provider "azurerm" {}

variables {
  subscription_id      = "00000000-0000-0000-0000-000000000001"
  location             = "westeurope"
  repository           = "plants/thale"
  state_admin_group_id = "00000000-0000-0000-0000-000000000002"
  admin_group_ids      = ["00000000-0000-0000-0000-0000000000a1"]
}

run "ci_of_an_environment" {
  command = plan

  assert {
    condition     = azurerm_federated_identity_credential.ci["prod"].subject == "repo:plants/thale:environment:prod"
    error_message = "Another repository, branch or environment can sign in as prod's CI."
  }
  assert {
    condition     = length(setintersection(concat(values(local.workload_roles), values(local.admin_roles)), ["8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "b24988ac-6180-42a0-ab88-20f7382dd24c", "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", "f58310d9-a9f6-439a-9e8d-f62e7b41a168"])) == 0
    error_message = "CI may assign Owner, Contributor or a role administrator, and so escalate its privileges."
  }
  assert {
    condition     = length(setintersection(keys(local.workload_roles), ["Azure Kubernetes Service RBAC Cluster Admin", "Azure Kubernetes Service Cluster User Role", "Key Vault Secrets Officer", "Grafana Admin"])) == 0
    error_message = "CI may assign a role of the administrators to an identity."
  }
}

run "state" {
  command = plan

  assert {
    condition     = can(regex("^[a-z0-9]{3,24}$", azurerm_storage_account.state.name))
    error_message = "A storage account's name has 3 to 24 lower-case letters and digits."
  }
  assert {
    condition     = !azurerm_storage_account.state.shared_access_key_enabled && !azurerm_storage_account.state.allow_nested_items_to_be_public
    error_message = "The state is readable with a key, or publicly."
  }
  assert {
    condition     = azurerm_storage_account.state.blob_properties[0].versioning_enabled && keys(azurerm_storage_container.state) == ["dev", "prod", "staging"]
    error_message = "A damaged state cannot be restored, or two environments share a state."
  }
}

run "repository_without_owner" {
  command = plan
  variables {
    repository = "thale"
  }
  expect_failures = [var.repository]
}

run "ci_without_administrators" {
  command = plan
  variables {
    admin_group_ids = []
  }
  expect_failures = [var.admin_group_ids]
}
