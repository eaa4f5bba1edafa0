# Optional: training on spot GPUs, outside the clusters, with the same storage and images. Azure assigns the workspace's
# identity its roles on storage, vault and registry.

locals {
  # Azure ML accesses vault and storage as a trusted Azure service. Without it, no Azure service has access to the vault.
  trusted_services = var.machine_learning == null ? "None" : "AzureServices"
}

resource "azurerm_application_insights" "ml" {
  count                        = var.machine_learning == null ? 0 : 1
  name                         = "appi-${local.name}-ml"
  resource_group_name          = azurerm_resource_group.this.name
  location                     = var.location
  application_type             = "web"
  workspace_id                 = azurerm_log_analytics_workspace.this.id
  local_authentication_enabled = false
  tags                         = local.tags
}

resource "azurerm_machine_learning_workspace" "this" {
  count                         = var.machine_learning == null ? 0 : 1
  name                          = "mlw-${local.name}"
  resource_group_name           = azurerm_resource_group.this.name
  location                      = var.location
  application_insights_id       = azurerm_application_insights.ml[0].id
  key_vault_id                  = azurerm_key_vault.this.id
  storage_account_id            = azurerm_storage_account.this.id
  storage_account_access_type   = "Identity"
  container_registry_id         = azurerm_container_registry.this.id
  image_build_compute_name      = "training" # registry tasks cannot pull from a private registry
  public_network_access_enabled = false
  tags                          = local.tags

  identity {
    type = "SystemAssigned"
  }

  managed_network {
    isolation_mode                = "AllowOnlyApprovedOutbound"
    provision_on_creation_enabled = true
  }
}

resource "azurerm_machine_learning_compute_cluster" "training" {
  count                         = var.machine_learning == null ? 0 : 1
  name                          = "training"
  location                      = var.location
  machine_learning_workspace_id = azurerm_machine_learning_workspace.this[0].id
  vm_priority                   = "LowPriority"
  vm_size                       = var.machine_learning.vm_size
  local_auth_enabled            = false
  node_public_ip_enabled        = false
  tags                          = local.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.workload["trainer"].id]
  }

  scale_settings {
    min_node_count                       = 0
    max_node_count                       = var.machine_learning.max_nodes
    scale_down_nodes_after_idle_duration = "PT10M"
  }
}

resource "azurerm_role_assignment" "training_pulls_images" {
  count                = var.machine_learning == null ? 0 : 1
  scope                = azurerm_container_registry.this.id
  role_definition_name = "AcrPull"
  principal_id         = azurerm_user_assigned_identity.workload["trainer"].principal_id
  principal_type       = "ServicePrincipal"
}
