output "taint" {
  description = "Taint that a workload must tolerate."
  value       = local.gpu_taint
}

output "settings" {
  description = "Minimum size, driver, taints and priority of the pool, for tests."
  value = {
    min_count   = azurerm_kubernetes_cluster_node_pool.this.min_count
    gpu_driver  = azurerm_kubernetes_cluster_node_pool.this.gpu_driver
    node_taints = azurerm_kubernetes_cluster_node_pool.this.node_taints
    priority    = azurerm_kubernetes_cluster_node_pool.this.priority
  }
}
