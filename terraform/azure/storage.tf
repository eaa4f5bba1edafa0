# The only state on Azure: models, photographs and results as blobs, batch jobs as queues. No keys, no public access.

locals {
  # Zone-redundant accounts have no archive tier (docs/adr/0046-cold-tier-in-zone-redundant-accounts.md): cold is their deepest.
  archive = contains(["LRS", "GRS", "RAGRS"], var.storage_replication)
}

resource "azurerm_storage_account" "this" {
  #checkov:skip=CKV2_AZURE_33:Each region has its private endpoints (regions.tf); checkov does not follow them through the module
  #checkov:skip=CKV_AZURE_33:Queues are logged by the diagnostic setting below, classic logging needs keys
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
      days = 30
    }
    container_delete_retention_policy {
      days = 30
    }
  }

  network_rules {
    default_action = "Deny"
    bypass         = ["AzureServices"] # lifecycle rules run as a trusted service: with "None" they move and delete nothing
  }
}

resource "azurerm_storage_container" "this" {
  #checkov:skip=CKV2_AZURE_21:Writes and deletions are logged; only the platform reads images, and logging each read costs more than storage
  for_each              = toset(["models", "images", "results"])
  name                  = each.value
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"
}

# Published results depend on registered models: they can be added and read, not rewritten or deleted.
resource "azurerm_storage_container_immutability_policy" "models" {
  storage_container_resource_manager_id = azurerm_storage_container.this["models"].id
  immutability_period_in_days           = var.model_retention.days
  locked                                = var.model_retention.locked
}

resource "azurerm_storage_queue" "this" {
  for_each           = toset(["jobs", "jobs-refused"])
  name               = each.value
  storage_account_id = azurerm_storage_account.this.id
}

resource "azurerm_storage_management_policy" "this" {
  storage_account_id = azurerm_storage_account.this.id

  rule {
    name    = "photographs-and-results-cool-down"
    enabled = true
    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["images/", "results/"]
    }
    actions {
      base_blob {
        tier_to_cool_after_days_since_modification_greater_than    = var.lifecycle_days.cool
        tier_to_cold_after_days_since_modification_greater_than    = local.archive ? null : var.lifecycle_days.deepest
        tier_to_archive_after_days_since_modification_greater_than = local.archive ? var.lifecycle_days.deepest : null
        # A rehydrated image stays for a week before it returns to the archive.
        tier_to_archive_after_days_since_last_tier_change_greater_than = local.archive ? 7 : null
      }
    }
  }

  rule {
    name    = "overwritten-versions-go"
    enabled = true
    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["images/", "results/"]
    }
    actions {
      version {
        delete_after_days_since_creation = var.lifecycle_days.old_versions
      }
    }
  }
}

resource "azurerm_management_lock" "storage" {
  count      = var.deletion_lock ? 1 : 0
  name       = "keep"
  scope      = azurerm_storage_account.this.id
  lock_level = "CanNotDelete"
  notes      = "Models, photographs and results: remove this lock only to destroy the environment."
}

resource "azurerm_monitor_diagnostic_setting" "storage" {
  for_each                   = toset(["blobServices", "queueServices"])
  name                       = "audit"
  target_resource_id         = "${azurerm_storage_account.this.id}/${each.value}/default"
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  enabled_log {
    category = "StorageWrite"
  }
  enabled_log {
    category = "StorageDelete"
  }
}
