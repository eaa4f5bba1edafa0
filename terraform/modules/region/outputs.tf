output "resource_group" {
  description = "Resource group of the cluster."
  value       = azurerm_resource_group.this.name
}

output "cluster_name" {
  description = "Name of the cluster."
  value       = azurerm_kubernetes_cluster.this.name
}

output "cluster_id" {
  description = "Resource id of the cluster."
  value       = azurerm_kubernetes_cluster.this.id
}

output "node_resource_group" {
  description = "Resource group of the nodes and load balancers."
  value       = azurerm_kubernetes_cluster.this.node_resource_group
}

output "node_subnet_name" {
  description = "Subnet of the internal load balancers."
  value       = azurerm_subnet.nodes.name
}

output "ranges" {
  description = "Address ranges of private endpoints and API server, for network policies."
  value = {
    private_endpoints = azurerm_subnet.private_endpoints.address_prefixes[0]
    api_server        = azurerm_subnet.api_server.address_prefixes[0]
  }
}

output "gpu_taint" {
  description = "Taint that GPU workloads must tolerate; null without GPU pools."
  value       = one(distinct([for pool in module.gpu_pool : pool.taint]))
}

output "private_endpoints" {
  description = "Names of the private endpoints by target."
  value       = { for name, endpoint in azurerm_private_endpoint.this : name => endpoint.name }
}

output "cluster_settings" {
  description = "Security settings of the cluster, for tests."
  value = {
    private                = azurerm_kubernetes_cluster.this.private_cluster_enabled
    authorized_ip_ranges   = azurerm_kubernetes_cluster.this.api_server_access_profile[0].authorized_ip_ranges
    local_account_disabled = azurerm_kubernetes_cluster.this.local_account_disabled
    azure_rbac_enabled     = azurerm_kubernetes_cluster.this.azure_active_directory_role_based_access_control[0].azure_rbac_enabled
  }
}

output "gpu_pools" {
  description = "Settings of the GPU pools, for tests."
  value       = { for name, pool in module.gpu_pool : name => pool.settings }
}

output "federated_subjects" {
  description = "Service account of each workload's identity."
  value       = { for name, credential in azurerm_federated_identity_credential.workload : name => credential.subject }
}

output "admin_access" {
  description = "Values for administrators: the VPN gateway, the DNS server of its clients, and the command of the hub's owner for a hub in another subscription."
  value = {
    vpn_gateway = one([for gateway in azurerm_virtual_network_gateway.vpn : gateway.name])
    dns_server  = one([for endpoint in azurerm_private_dns_resolver_inbound_endpoint.this : endpoint.ip_configurations[0].private_ip_address])
    hub_command = one([for key, hub in local.hub : join(" ", [
      "az network vnet peering create --name to-${var.name} --allow-vnet-access${hub.use_gateway ? " --allow-gateway-transit" : ""}",
      "--subscription ${hub.subscription_id} --resource-group ${hub.resource_group} --vnet-name ${hub.name}",
      "--remote-vnet ${azurerm_virtual_network.this.id}",
    ]) if !contains(keys(local.own_hub), key)])
  }
}

output "admin_network" {
  description = "Rules, peerings, zone links and gateways of the administrators' way in, for tests."
  value = {
    endpoint_rules = { for rule in concat(azurerm_network_security_rule.private_endpoints_https_from_administrators[*], [
      azurerm_network_security_rule.private_endpoints_https_from_nodes,
      azurerm_network_security_rule.private_endpoints_nothing_else,
      ]) : rule.priority => {
      access       = rule.access
      sources      = try(sort(rule.source_address_prefixes), [rule.source_address_prefix])
      destinations = try(sort(rule.destination_address_prefixes), [rule.destination_address_prefix])
      port         = rule.destination_port_range
    } }
    node_rules = { for rule in azurerm_network_security_rule.nodes_from_administrators : rule.priority => {
      access  = rule.access
      sources = sort(rule.source_address_prefixes)
      port    = rule.destination_port_range
    } }
    peerings     = concat([for peering in azurerm_virtual_network_peering.to_hub : peering.name], [for peering in azurerm_virtual_network_peering.from_hub : peering.name])
    hub_gateway  = concat([for peering in azurerm_virtual_network_peering.to_hub : peering.use_remote_gateways], [for peering in azurerm_virtual_network_peering.from_hub : peering.allow_gateway_transit])
    linked_zones = keys(azurerm_private_dns_zone_virtual_network_link.hub)
    linked_api   = length(azurerm_private_dns_zone_virtual_network_link.hub_api_server)
    gateways     = length(azurerm_virtual_network_gateway.vpn) + length(azurerm_private_dns_resolver.this) + length(azurerm_public_ip.vpn)
    client_configurations = [for gateway in azurerm_virtual_network_gateway.vpn : {
      auth_types = gateway.vpn_client_configuration[0].vpn_auth_types
      issuer     = gateway.vpn_client_configuration[0].aad_issuer
    }]
  }
}
