# What CI may do, and where the state lies. No cloud: the provider is mocked.

mock_provider "azurerm" {}

variables {
  subscription_id      = "00000000-0000-0000-0000-000000000001"
  location             = "westeurope"
  repository           = "plants/thale"
  state_admin_group_id = "00000000-0000-0000-0000-000000000002"
}

run "ci_of_an_environment" {
  command = plan

  assert {
    condition     = azurerm_federated_identity_credential.ci["prod"].subject == "repo:plants/thale:environment:prod"
    error_message = "Another repository, branch or environment can act as prod's CI."
  }
  assert {
    condition     = length(setintersection(values(local.assignable_roles), ["8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "b24988ac-6180-42a0-ab88-20f7382dd24c", "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", "f58310d9-a9f6-439a-9e8d-f62e7b41a168"])) == 0
    error_message = "CI may make somebody Owner, Contributor or a giver of roles, and so raise itself."
  }
  assert {
    condition     = alltrue([for grant in azurerm_role_assignment.ci_assigns_known_roles : grant.condition_version == "2.0" && alltrue([for id in values(local.assignable_roles) : length(regexall(id, grant.condition)) == 2])])
    error_message = "A role is missing from what CI may hand out or take back."
  }
  assert {
    condition     = length(azurerm_role_assignment.ci_locks) == 3
    error_message = "CI cannot lock what prod must not lose."
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
    error_message = "The state can be read with a key, or by anybody."
  }
  assert {
    condition     = azurerm_storage_account.state.blob_properties[0].versioning_enabled && keys(azurerm_storage_container.state) == ["dev", "prod", "staging"]
    error_message = "A spoilt state cannot be brought back, or two environments share one."
  }
}

run "a_repository_without_an_owner" {
  command = plan
  variables {
    repository = "thale"
  }
  expect_failures = [var.repository]
}
