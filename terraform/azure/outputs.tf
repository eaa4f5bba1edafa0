# The values that the Kubernetes overlays and `make deploy` need. None is a secret.

output "facts" {
  description = "Facts of the environment for kubernetes/overlays/aks-*."
  value = {
    environment      = var.environment
    tenant_id        = data.azurerm_client_config.current.tenant_id
    entra            = local.entra
    subscription_id  = var.subscription_id
    registry         = azurerm_container_registry.this.login_server
    blob_endpoint    = azurerm_storage_account.this.primary_blob_endpoint
    key_vault        = azurerm_key_vault.this.name
    prometheus_query = azurerm_monitor_workspace.this.query_endpoint
    grafana          = azurerm_dashboard_grafana.this.endpoint
    client_ids       = { for name, identity in azurerm_user_assigned_identity.workload : name => identity.client_id }
    experiments = one([
      for server in azurerm_postgresql_flexible_server.experiments : {
        database_url = "postgresql://${azurerm_user_assigned_identity.workload["facade"].name}@${server.fqdn}:5432/thale"
        blob_url     = "${azurerm_storage_account.this.primary_blob_endpoint}${azurerm_storage_container.experiments[0].name}"
      }
    ])
    edge_host = try(var.edge.host_name, null) != null ? var.edge.host_name : one(azurerm_cdn_frontdoor_endpoint.this[*].host_name)
    regions = {
      for name, region in module.region : name => {
        location            = local.locations[name]
        resource_group      = region.resource_group
        cluster             = region.cluster_name
        node_resource_group = region.node_resource_group
        node_subnet         = region.node_subnet_name
        ranges              = region.ranges
        gpu_taint           = region.gpu_taint
      }
    }
  }
}

output "admin_access" {
  description = "For administrators, by region: VPN gateway, DNS server of its clients, and the command of the owner of a hub in another subscription."
  value       = { for name, region in module.region : name => region.admin_access }
}

output "edge_domain" {
  description = "DNS records of edge.host_name, by name: the proof of ownership, and the alias of Front Door."
  value = merge([for domain in azurerm_cdn_frontdoor_custom_domain.this : {
    "_dnsauth.${domain.host_name}" = "TXT ${domain.validation_token}"
    (domain.host_name)             = "CNAME ${azurerm_cdn_frontdoor_endpoint.this[0].host_name}"
  }]...)
}
