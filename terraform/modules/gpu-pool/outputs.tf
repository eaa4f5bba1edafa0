output "taint" {
  description = "The taint that a workload must tolerate to run here."
  value       = local.gpu_taint
}

output "settings" {
  description = "What the pool costs at rest and whom it takes, for checks."
  value = {
    min_count   = azurerm_kubernetes_cluster_node_pool.this.min_count
    gpu_driver  = azurerm_kubernetes_cluster_node_pool.this.gpu_driver
    node_taints = azurerm_kubernetes_cluster_node_pool.this.node_taints
    priority    = azurerm_kubernetes_cluster_node_pool.this.priority
  }
}
