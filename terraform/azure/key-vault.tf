# The only source of secrets. Terraform creates the vault and never holds a secret: administrators and rotation write them.
# A deleted vault and deleted secrets can be restored for 90 days, and purge protection applies to everybody.

resource "azurerm_key_vault" "this" {
  #checkov:skip=CKV2_AZURE_32:Each region has its private endpoint (regions.tf); checkov does not follow it through the module
  name                          = local.names.key_vault
  resource_group_name           = azurerm_resource_group.this.name
  location                      = var.location
  tenant_id                     = data.azurerm_client_config.current.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = true
  soft_delete_retention_days    = 90
  public_network_access_enabled = false
  tags                          = local.tags

  network_acls {
    default_action = "Deny"
    bypass         = local.trusted_services
  }

  lifecycle {
    prevent_destroy = true # only `make destroy` overrides it
  }
}

resource "azurerm_monitor_diagnostic_setting" "key_vault" {
  name                       = "audit"
  target_resource_id         = azurerm_key_vault.this.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  enabled_log {
    category_group = "audit"
  }
}
