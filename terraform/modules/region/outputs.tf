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
