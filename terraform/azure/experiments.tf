# Storage of experiments: photographs and results as blobs, batch jobs as queues. Off by default (experiments_enabled): no
# service reads or writes them yet (docs/adr/0097-resources-only-for-what-runs.md).

locals {
  experiment_containers = var.experiments_enabled ? toset(["images", "results"]) : []
  experiment_queues     = var.experiments_enabled ? toset(["jobs", "jobs-refused"]) : []

  # Zone-redundant accounts have no archive tier (docs/adr/0046-cold-tier-in-zone-redundant-accounts.md): cold is their deepest.
  archive = contains(["LRS", "GRS", "RAGRS"], var.storage_replication)

  # null while they are off.
  experiment_scopes = {
    images       = try(azurerm_storage_container.experiments["images"].id, null)
    results      = try(azurerm_storage_container.experiments["results"].id, null)
    jobs         = try(azurerm_storage_queue.experiments["jobs"].id, null)
    jobs-refused = try(azurerm_storage_queue.experiments["jobs-refused"].id, null)
  }

  # The additional roles of each workload, by scope.
  experiment_roles = {
    facade = {
      images       = "Storage Blob Data Contributor"
      results      = "Storage Blob Data Contributor"
      jobs         = "Storage Queue Data Contributor"
      jobs-refused = "Storage Queue Data Message Sender"
    }
    trainer = { images = "Storage Blob Data Reader" }
    keda    = { jobs = "Storage Queue Data Reader" }
  }

  experiment_grants = var.experiments_enabled ? merge([
    for workload, roles in local.experiment_roles : {
      for scope, role in roles : "${workload}/${scope}" => { workload = workload, role = role, scope = scope }
    }
  ]...) : {}
}

resource "azurerm_storage_container" "experiments" {
  #checkov:skip=CKV2_AZURE_21:Writes and deletions are logged; only the platform reads images, and logging each read costs more than storage
  for_each              = local.experiment_containers
  name                  = each.value
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"

  lifecycle {
    prevent_destroy = true # as in storage.tf
  }
}

resource "azurerm_storage_queue" "experiments" {
  for_each           = local.experiment_queues
  name               = each.value
  storage_account_id = azurerm_storage_account.this.id
}

resource "azurerm_role_assignment" "experiments" {
  for_each             = local.experiment_grants
  scope                = local.experiment_scopes[each.value.scope]
  role_definition_name = each.value.role
  principal_id         = azurerm_user_assigned_identity.workload[each.value.workload].principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_storage_management_policy" "experiments" {
  count              = var.experiments_enabled ? 1 : 0
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

resource "azurerm_monitor_diagnostic_setting" "queues" {
  count                      = var.experiments_enabled ? 1 : 0
  name                       = "audit"
  target_resource_id         = "${azurerm_storage_account.this.id}/queueServices/default"
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  enabled_log {
    category = "StorageWrite"
  }
  enabled_log {
    category = "StorageDelete"
  }
}
