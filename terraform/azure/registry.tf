# Images. Premium, because nothing less has private endpoints; `az acr build` pushes from inside Azure.

resource "azurerm_container_registry" "this" {
  #checkov:skip=CKV_AZURE_164:Azure retires Docker content trust; the overlays name images by digest instead
  #checkov:skip=CKV_AZURE_166:Quarantine holds every image back until a scanner of ours releases it, and there is none yet; Defender scans in prod
  name                          = local.names.registry
  resource_group_name           = azurerm_resource_group.this.name
  location                      = var.location
  sku                           = "Premium"
  data_endpoint_enabled         = true
  admin_enabled                 = false
  anonymous_pull_enabled        = false
  public_network_access_enabled = false
  # Registry tasks build and push from inside Azure, past the closed network.
  network_rule_bypass_option            = "AzureServices"
  network_rule_bypass_for_tasks_enabled = true
  zone_redundancy_enabled               = true
  retention_policy_in_days              = 30 # of manifests without a tag
  tags                                  = local.tags

  dynamic "georeplications" {
    for_each = var.secondary_location == null ? [] : [var.secondary_location]
    content {
      location                        = georeplications.value
      global_endpoint_routing_enabled = true
      zone_redundancy_enabled         = true
      tags                            = local.tags
    }
  }
}

resource "azurerm_monitor_diagnostic_setting" "registry" {
  name                       = "audit"
  target_resource_id         = azurerm_container_registry.this.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  enabled_log {
    category = "ContainerRegistryLoginEvents"
  }
  enabled_log {
    category = "ContainerRegistryRepositoryEvents"
  }
}
