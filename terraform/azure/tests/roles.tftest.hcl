# All role assignments with all options, with known ids. terraform/tests/test_roles.py compares this plan with its table.

mock_provider "azurerm" {
  source = "./tests/mocks"
}

override_resource {
  target          = azurerm_user_assigned_identity.workload["facade"]
  override_during = plan
  values          = { principal_id = "00000000-0000-0000-0001-000000000001" }
}
override_resource {
  target          = azurerm_user_assigned_identity.workload["model-server"]
  override_during = plan
  values          = { principal_id = "00000000-0000-0000-0001-000000000002" }
}
override_resource {
  target          = azurerm_user_assigned_identity.workload["release-watcher"]
  override_during = plan
  values          = { principal_id = "00000000-0000-0000-0001-000000000003" }
}
override_resource {
  target          = azurerm_user_assigned_identity.workload["trainer"]
  override_during = plan
  values = {
    id           = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/trainer"
    principal_id = "00000000-0000-0000-0001-000000000004"
  }
}
override_resource {
  target          = azurerm_user_assigned_identity.workload["keda"]
  override_during = plan
  values          = { principal_id = "00000000-0000-0000-0001-000000000005" }
}
override_resource {
  target          = azurerm_dashboard_grafana.this
  override_during = plan
  values = {
    id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.Dashboard/grafana/gf-thale"
    identity = { principal_id = "00000000-0000-0000-0001-000000000006" }
  }
}
override_resource {
  target          = azurerm_container_registry_task.build
  override_during = plan
  values          = { identity = { principal_id = "00000000-0000-0000-0001-000000000007" } }
}
override_resource {
  target          = azurerm_storage_account.this
  override_during = plan
  values          = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/stthale" }
}
override_resource {
  target          = azurerm_storage_container.this["models"]
  override_during = plan
  values          = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/stthale/blobServices/default/containers/models" }
}
override_resource {
  target          = azurerm_storage_container.this["releases"]
  override_during = plan
  values          = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/stthale/blobServices/default/containers/releases" }
}
override_resource {
  target          = azurerm_storage_container.experiments[0]
  override_during = plan
  values          = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/stthale/blobServices/default/containers/experiments" }
}
override_resource {
  target          = azurerm_key_vault.this
  override_during = plan
  values          = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-thale" }
}
override_resource {
  target          = azurerm_monitor_workspace.this
  override_during = plan
  values          = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.Monitor/accounts/amw-thale" }
}
override_resource {
  target          = azurerm_log_analytics_workspace.this
  override_during = plan
  values          = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.OperationalInsights/workspaces/log-thale" }
}
override_resource {
  target          = azurerm_container_registry.this
  override_during = plan
  values          = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.ContainerRegistry/registries/crthale" }
}
override_resource {
  target          = module.region["primary"].azurerm_kubernetes_cluster.this
  override_during = plan
  values          = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/aks-thale" }
}

variables {
  subscription_id     = "00000000-0000-0000-0000-000000000001"
  admin_group_ids     = ["00000000-0000-0000-0000-000000000002"]
  alert_emails        = { page = ["pager@example.org"], ticket = ["team@example.org"] }
  environment         = "dev"
  location            = "westeurope"
  system_pool         = { vm_size = "Standard_D4ds_v5", min_nodes = 3, max_nodes = 6 }
  general_pool        = { vm_size = "Standard_D8ds_v5", min_nodes = 3, max_nodes = 12 }
  storage_replication = "ZRS"
  model_retention     = { days = 30 }
  monthly_budget      = 2000
  experiments_enabled = true

  experiments_database = { admin_groups = { "00000000-0000-0000-0000-000000000002" = "thale administrators" } }

  machine_learning = { vm_size = "Standard_NC24ads_A100_v4", max_nodes = 4 }
}

run "all_role_assignments" {
  command = plan

  assert {
    condition     = alltrue([for grant in azurerm_role_assignment.workload : grant.principal_type == "ServicePrincipal"])
    error_message = "A workload's identity is not a service principal."
  }
}
