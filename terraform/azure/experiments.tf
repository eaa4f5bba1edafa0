# Store of experiments for the facades: PostgreSQL and a container for photographs. Off by default (experiments_enabled).
# Both are private, without passwords and keys (docs/adr/0132-entra-tokens-as-database-passwords.md).

locals {
  experiment_scopes = {
    images = try(azurerm_storage_container.experiments[0].id, null) # null while it is off
  }

  # The additional roles of each workload, by scope. Its role in the database is not one of Azure (docs/experiments.md).
  experiment_roles = {
    facade = { images = "Storage Blob Data Contributor" }
  }

  experiment_grants = var.experiments_enabled ? merge([
    for workload, roles in local.experiment_roles : {
      for scope, role in roles : "${workload}/${scope}" => { workload = workload, role = role, scope = scope }
    }
  ]...) : {}

  # Metrics of the server that alert: is_db_alive pages, all others are tickets.
  database_alerts = {
    down        = { metric = "is_db_alive", aggregation = "Maximum", operator = "LessThan", threshold = 1, urgency = "page", window = "PT5M" }
    storage     = { metric = "storage_percent", aggregation = "Maximum", operator = "GreaterThan", threshold = 90, urgency = "ticket", window = "PT15M" }
    cpu         = { metric = "cpu_percent", aggregation = "Average", operator = "GreaterThan", threshold = 90, urgency = "ticket", window = "PT30M" }
    connections = { metric = "connections_failed", aggregation = "Total", operator = "GreaterThan", threshold = 20, urgency = "ticket", window = "PT15M" }
  }
}

resource "azurerm_storage_container" "experiments" {
  #checkov:skip=CKV2_AZURE_21:Writes and deletions are logged; only the platform reads images, and logging each read costs more than storage
  count                 = var.experiments_enabled ? 1 : 0
  name                  = "experiments"
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"

  lifecycle {
    prevent_destroy = true # as in storage.tf
  }
}

resource "azurerm_role_assignment" "experiments" {
  for_each             = local.experiment_grants
  scope                = local.experiment_scopes[each.value.scope]
  role_definition_name = each.value.role
  principal_id         = azurerm_user_assigned_identity.workload[each.value.workload].principal_id
  principal_type       = "ServicePrincipal"
}

# Cold is the deepest tier: the facade cannot read an archived photograph to reproduce a measurement.
resource "azurerm_storage_management_policy" "experiments" {
  count              = var.experiments_enabled ? 1 : 0
  storage_account_id = azurerm_storage_account.this.id

  rule {
    name    = "photographs-cool-down"
    enabled = true
    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["experiments/"]
    }
    actions {
      base_blob {
        tier_to_cool_after_days_since_modification_greater_than = var.lifecycle_days.cool
        tier_to_cold_after_days_since_modification_greater_than = var.lifecycle_days.deepest
      }
    }
  }

  rule {
    name    = "deleted-versions-go"
    enabled = true
    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["experiments/"]
    }
    actions {
      version {
        delete_after_days_since_creation = var.lifecycle_days.old_versions
      }
    }
  }
}

resource "azurerm_postgresql_flexible_server" "experiments" {
  #checkov:skip=CKV_AZURE_136:Geo-redundant backups are a setting; without them the data stays in one region on purpose
  #checkov:skip=CKV2_AZURE_57:Each region has its private endpoint (regions.tf); checkov does not follow it through the module
  count                         = var.experiments_enabled ? 1 : 0
  name                          = local.names.database
  resource_group_name           = azurerm_resource_group.this.name
  location                      = var.location
  version                       = "17"
  sku_name                      = var.experiments_database.sku_name
  storage_mb                    = var.experiments_database.storage_mb
  auto_grow_enabled             = true
  public_network_access_enabled = false
  backup_retention_days         = var.experiments_database.backup_days
  geo_redundant_backup_enabled  = var.experiments_database.geo_redundant_backup
  tags                          = local.tags

  authentication {
    active_directory_auth_enabled = true
    password_auth_enabled         = false
    tenant_id                     = data.azurerm_client_config.current.tenant_id
  }

  dynamic "high_availability" {
    for_each = var.experiments_database.zone_redundant ? [true] : []
    content {
      mode = "ZoneRedundant"
    }
  }

  lifecycle {
    prevent_destroy = true # only `make destroy` overrides it
    # A failover exchanges the zones, and Azure grows the storage: a plan would undo both.
    ignore_changes = [zone, high_availability[0].standby_availability_zone, storage_mb]
  }
}

# The administrators create the role of the facade's identity, and restore. They sign in as the group.
resource "azurerm_postgresql_flexible_server_active_directory_administrator" "experiments" {
  for_each            = var.experiments_enabled ? var.experiments_database.admin_groups : {}
  server_name         = azurerm_postgresql_flexible_server.experiments[0].name
  resource_group_name = azurerm_resource_group.this.name
  tenant_id           = data.azurerm_client_config.current.tenant_id
  object_id           = each.key
  principal_name      = each.value
  principal_type      = "Group"
}

resource "azurerm_monitor_diagnostic_setting" "experiments" {
  count                      = var.experiments_enabled ? 1 : 0
  name                       = "audit"
  target_resource_id         = azurerm_postgresql_flexible_server.experiments[0].id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  enabled_log {
    category = "PostgreSQLLogs"
  }
}

resource "azurerm_monitor_metric_alert" "experiments" {
  for_each            = var.experiments_enabled ? local.database_alerts : {}
  name                = "ma-${local.name}-database-${each.key}"
  resource_group_name = azurerm_resource_group.this.name
  scopes              = [azurerm_postgresql_flexible_server.experiments[0].id]
  severity            = local.severities[each.value.urgency]
  frequency           = "PT5M"
  window_size         = each.value.window
  tags                = local.tags

  criteria {
    metric_namespace = "Microsoft.DBforPostgreSQL/flexibleServers"
    metric_name      = each.value.metric
    aggregation      = each.value.aggregation
    operator         = each.value.operator
    threshold        = each.value.threshold
  }

  action {
    action_group_id = azurerm_monitor_action_group.this[each.value.urgency].id
  }
}
