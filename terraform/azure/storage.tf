# Registered models as blobs (and the data of experiments, experiments.tf). With the vault, it is the only state on Azure.
# No keys, no public access. Deletion is prevented without management locks: docs/adr/0095-no-management-locks.md.

locals {
  # Days in which a deleted version of a blob, or a deleted container, can be restored.
  restore_days = var.deletion_protection ? 90 : 30

  # Lifecycle rules, which only experiments have, run as a trusted service: with "None" they move and delete nothing.
  trusted_by_storage = var.experiments_enabled ? "AzureServices" : local.trusted_services
}

resource "azurerm_storage_account" "this" {
  #checkov:skip=CKV_AZURE_36:Azure's services need access only with experiments or Azure ML
  #checkov:skip=CKV2_AZURE_33:Each region has its private endpoints (regions.tf); checkov does not follow them through the module
  #checkov:skip=CKV_AZURE_33:The account has no queues
  #checkov:skip=CKV2_AZURE_1:Azure's keys with infrastructure encryption; the loss of a customer key would lose the data behind published results
  name                              = local.names.storage
  resource_group_name               = azurerm_resource_group.this.name
  location                          = var.location
  account_kind                      = "StorageV2"
  account_tier                      = "Standard"
  account_replication_type          = var.storage_replication
  access_tier                       = "Hot"
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  public_network_access_enabled     = false
  allow_nested_items_to_be_public   = false
  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  local_user_enabled                = false
  cross_tenant_replication_enabled  = false
  allowed_copy_scope                = "AAD"
  infrastructure_encryption_enabled = true
  tags                              = local.tags

  blob_properties {
    versioning_enabled            = true
    change_feed_enabled           = true
    change_feed_retention_in_days = 90
    last_access_time_enabled      = false

    delete_retention_policy {
      days = local.restore_days
    }
    container_delete_retention_policy {
      days = local.restore_days
    }
  }

  network_rules {
    default_action = "Deny"
    bypass         = [local.trusted_by_storage]
  }

  lifecycle {
    prevent_destroy = true # only `make destroy` overrides it
  }
}

resource "azurerm_storage_container" "this" {
  #checkov:skip=CKV2_AZURE_21:Writes and deletions are logged; only the platform reads models, and logging each read costs more than storage
  for_each              = toset(["models", "releases"]) # releases: copies of the release state, docs/adr/0124
  name                  = each.value
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"

  lifecycle {
    prevent_destroy = true
  }
}

# Published results depend on registered models: they can be added and read, not rewritten or deleted.
resource "azurerm_storage_container_immutability_policy" "models" {
  storage_container_resource_manager_id = azurerm_storage_container.this["models"].id
  immutability_period_in_days           = var.model_retention.days
  locked                                = var.model_retention.locked
}

resource "azurerm_monitor_diagnostic_setting" "storage" {
  name                       = "audit"
  target_resource_id         = "${azurerm_storage_account.this.id}/blobServices/default"
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  enabled_log {
    category = "StorageWrite"
  }
  enabled_log {
    category = "StorageDelete"
  }
}
