# A network and a cluster for each region. The regions share all other resources of this folder.

module "region" {
  source   = "../modules/region"
  for_each = local.locations

  name          = "${local.name}-${each.value}"
  location      = each.value
  tenant_id     = data.azurerm_client_config.current.tenant_id
  address_space = var.address_spaces[each.key == "primary" ? 0 : 1]
  tags          = local.tags

  cluster = {
    kubernetes_version   = var.kubernetes_version
    sku_tier             = var.sku_tier
    authorized_ip_ranges = var.api_server_authorized_ip_ranges
    zones                = var.zones
    host_encryption      = var.host_encryption
    defender             = var.defender
  }
  system_pool  = var.system_pool
  general_pool = var.general_pool
  gpu_pools    = var.gpu_pools

  admin_access = {
    vpn = try(var.admin_access.vpn, null)
    hub = try(var.admin_access.hub, null) == null ? null : merge(var.admin_access.hub, {
      # In another subscription, Terraform has no rights: the output admin_access has the command of the hub's owner.
      peer_back = startswith(lower(var.admin_access.hub.virtual_network_id), lower("/subscriptions/${var.subscription_id}/"))
      # Regions have DNS zones of the same names, and a hub can be linked to one of each: the first region's.
      link_zones = each.key == "primary"
    })
  }

  registry_id = azurerm_container_registry.this.id
  telemetry = {
    workspace_id    = azurerm_log_analytics_workspace.this.id
    metrics_rule_id = azurerm_monitor_data_collection_rule.metrics.id
    logs_rule_id    = azurerm_monitor_data_collection_rule.logs.id
  }

  private_links = merge(
    {
      blob     = { resource_id = azurerm_storage_account.this.id, subresource = "blob", dns_zones = ["privatelink.blob.core.windows.net"] }
      vault    = { resource_id = azurerm_key_vault.this.id, subresource = "vault", dns_zones = ["privatelink.vaultcore.azure.net"] }
      registry = { resource_id = azurerm_container_registry.this.id, subresource = "registry", dns_zones = ["privatelink.azurecr.io"] }
    },
    # The replica in the paired region has its own name, and is unreachable without its own endpoint.
    contains(["RAGRS", "RAGZRS"], var.storage_replication) ? {
      blob-secondary = { resource_id = azurerm_storage_account.this.id, subresource = "blob_secondary", dns_zones = ["privatelink.blob.core.windows.net"] }
    } : {},
    var.experiments_enabled ? {
      database = { resource_id = azurerm_postgresql_flexible_server.experiments[0].id, subresource = "postgresqlServer", dns_zones = ["privatelink.postgres.database.azure.com"] }
    } : {},
    var.machine_learning == null ? {} : {
      ml = {
        resource_id = azurerm_machine_learning_workspace.this[0].id
        subresource = "amlworkspace"
        dns_zones   = ["privatelink.api.azureml.ms", "privatelink.notebooks.azure.net"]
      }
    },
  )

  workloads = {
    for name, workload in local.workloads : name => {
      identity_id     = azurerm_user_assigned_identity.workload[name].id
      namespace       = workload.namespace
      service_account = workload.service_account
    }
  }
}
