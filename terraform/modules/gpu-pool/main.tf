# An autoscaled pool of GPU nodes that scales to zero, for inference (on demand) or training (spot).

locals {
  gpu_taint  = "nvidia.com/gpu=present:NoSchedule"
  spot_taint = "kubernetes.azure.com/scalesetpriority=spot:NoSchedule"
}

resource "azurerm_kubernetes_cluster_node_pool" "this" {
  #checkov:skip=CKV_AZURE_227:Encryption on the host is on by default; checkov does not follow the variable through two modules
  name                  = var.name
  kubernetes_cluster_id = var.cluster_id
  mode                  = "User"
  vm_size               = var.vm_size
  vnet_subnet_id        = var.subnet_id
  zones                 = var.zones
  tags                  = var.tags

  auto_scaling_enabled = true
  max_pods             = 110
  min_count            = 0
  max_count            = var.max_nodes

  priority        = var.spot ? "Spot" : "Regular"
  eviction_policy = var.spot ? "Delete" : null
  spot_max_price  = var.spot ? -1 : null # up to the on-demand price

  gpu_driver              = "Install" # left unset, a later provider version recreates the pool
  os_sku                  = "Ubuntu"  # Azure installs GPU drivers on Ubuntu nodes for every size used here
  os_disk_type            = "Ephemeral"
  os_disk_size_gb         = var.os_disk_gb
  host_encryption_enabled = var.host_encryption
  # Azure adds a label and a taint to spot nodes. They are listed here, or each plan would remove them.
  node_labels = merge(
    { "thale/purpose" = var.purpose, "nvidia.com/gpu" = "present" },
    var.spot ? { "kubernetes.azure.com/scalesetpriority" = "spot" } : {},
  )
  node_taints = concat([local.gpu_taint], var.spot ? [local.spot_taint] : [])

  temporary_name_for_rotation = "${substr(var.name, 0, 9)}tmp"

  dynamic "upgrade_settings" {
    for_each = var.spot ? [] : [1] # not supported on spot pools
    content {
      max_surge                     = "1"
      drain_timeout_in_minutes      = 30
      node_soak_duration_in_minutes = 0
    }
  }

  lifecycle {
    ignore_changes = [node_count] # set by the autoscaler
  }
}
