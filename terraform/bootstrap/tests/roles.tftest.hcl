# The role of thale's own, with a mocked provider.

mock_provider "azurerm" {}

variables {
  subscription_id      = "00000000-0000-0000-0000-000000000001"
  location             = "westeurope"
  repository           = "plants/thale"
  state_admin_group_id = "00000000-0000-0000-0000-000000000002"
  admin_group_ids      = ["00000000-0000-0000-0000-0000000000a1"]
}

run "role_runs_commands_and_nothing_else" {
  command = plan

  assert {
    condition     = toset(azurerm_role_definition.runs_commands.permissions[0].actions) == toset(["Microsoft.ContainerService/managedClusters/read", "Microsoft.ContainerService/managedClusters/runcommand/action", "Microsoft.ContainerService/managedClusters/commandResults/read"])
    error_message = "The role does not have exactly the three actions of `az aks command invoke`."
  }
  assert {
    condition     = azurerm_role_definition.runs_commands.role_definition_id == uuidv5("url", "thale/cluster-commands/00000000-0000-0000-0000-000000000001")
    error_message = "The role's id differs from the one that azure/run-command.tf assigns."
  }
  assert {
    condition     = contains(split(", ", local.admin_role_ids), azurerm_role_definition.runs_commands.role_definition_id)
    error_message = "CI may not assign the role to administrators, or remove it."
  }
}
