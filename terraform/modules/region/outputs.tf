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
  description = "Resource group that AKS keeps its nodes and load balancers in."
  value       = azurerm_kubernetes_cluster.this.node_resource_group
}

output "node_subnet_name" {
  description = "Subnet in which internal load balancers take their address."
  value       = azurerm_subnet.nodes.name
}

output "ranges" {
  description = "Addresses that network policies name: of the private endpoints and of the API server."
  value = {
    private_endpoints = azurerm_subnet.private_endpoints.address_prefixes[0]
    api_server        = azurerm_subnet.api_server.address_prefixes[0]
  }
}

output "gpu_taint" {
  description = "The taint that GPU workloads must tolerate; null without GPU pools."
  value       = one(distinct([for pool in module.gpu_pool : pool.taint]))
}

output "private_endpoints" {
  description = "Private endpoints by what they lead to."
  value       = { for name, endpoint in azurerm_private_endpoint.this : name => endpoint.name }
}

output "cluster_settings" {
  description = "What makes the cluster safe, for checks."
  value = {
    private                = azurerm_kubernetes_cluster.this.private_cluster_enabled
    authorized_ip_ranges   = azurerm_kubernetes_cluster.this.api_server_access_profile[0].authorized_ip_ranges
    local_account_disabled = azurerm_kubernetes_cluster.this.local_account_disabled
    azure_rbac_enabled     = azurerm_kubernetes_cluster.this.azure_active_directory_role_based_access_control[0].azure_rbac_enabled
  }
}

output "gpu_pools" {
  description = "GPU pools as they are made, for checks."
  value       = { for name, pool in module.gpu_pool : name => pool.settings }
}

output "federated_subjects" {
  description = "The service account that may act as each workload's identity."
  value       = { for name, credential in azurerm_federated_identity_credential.workload : name => credential.subject }
}
