resource "azurerm_kubernetes_cluster_node_pool" "general" {
  name                        = "general"
  kubernetes_cluster_id       = azurerm_kubernetes_cluster.this.id
  mode                        = "User"
  vm_size                     = var.general_pool.vm_size
  vnet_subnet_id              = azurerm_subnet.nodes.id
  zones                       = var.cluster.zones
  auto_scaling_enabled        = true
  max_pods                    = 110
  min_count                   = var.general_pool.min_nodes
  max_count                   = var.general_pool.max_nodes
  os_sku                      = "AzureLinux"
  os_disk_type                = "Ephemeral"
  os_disk_size_gb             = 64
  host_encryption_enabled     = var.cluster.host_encryption
  node_labels                 = { "thale/purpose" = "general" }
  temporary_name_for_rotation = "generaltmp"
  tags                        = var.tags

  upgrade_settings {
    max_surge                     = "33%"
    drain_timeout_in_minutes      = 30
    node_soak_duration_in_minutes = 5
  }

  lifecycle {
    ignore_changes = [node_count] # the autoscaler's
  }
}

module "gpu_pool" {
  source          = "../gpu-pool"
  for_each        = var.gpu_pools
  name            = each.key
  cluster_id      = azurerm_kubernetes_cluster.this.id
  subnet_id       = azurerm_subnet.nodes.id
  purpose         = each.value.purpose
  vm_size         = each.value.vm_size
  max_nodes       = each.value.max_nodes
  spot            = each.value.spot
  zones           = each.value.zones
  host_encryption = var.cluster.host_encryption
  tags            = var.tags
}
