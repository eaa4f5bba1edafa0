# The cluster: no local accounts, no keys, Cilium, and an API server that is private or limited to address ranges.

locals {
  private = length(var.cluster.authorized_ip_ranges) == 0
}

resource "azurerm_user_assigned_identity" "cluster" {
  name                = "id-${var.name}-cluster"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_user_assigned_identity" "kubelet" {
  name                = "id-${var.name}-kubelet"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_role_assignment" "cluster_joins_subnets" {
  for_each             = { nodes = azurerm_subnet.nodes.id, api_server = azurerm_subnet.api_server.id }
  scope                = each.value
  role_definition_name = "Network Contributor"
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "cluster_hands_out_kubelet_identity" {
  scope                = azurerm_user_assigned_identity.kubelet.id
  role_definition_name = "Managed Identity Operator"
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "kubelet_pulls_images" {
  scope                = var.registry_id
  role_definition_name = "AcrPull"
  principal_id         = azurerm_user_assigned_identity.kubelet.principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_kubernetes_cluster" "this" {
  #checkov:skip=CKV_AZURE_172:No pod mounts the vault: thale reads it with its own identity (services/thale/secrets), so the driver is not installed
  #checkov:skip=CKV_AZURE_117:Nodes have ephemeral disks, encrypted on the host; they hold no data that needs a customer key
  name                = "aks-${var.name}"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  node_resource_group = "rg-${var.name}-nodes"
  dns_prefix          = "aks-${var.name}"
  kubernetes_version  = var.cluster.kubernetes_version
  sku_tier            = var.cluster.sku_tier
  tags                = var.tags

  private_cluster_enabled             = local.private
  private_cluster_public_fqdn_enabled = false
  private_dns_zone_id                 = local.private ? "System" : null
  local_account_disabled              = true
  oidc_issuer_enabled                 = true
  workload_identity_enabled           = true
  azure_policy_enabled                = true          # applies the organisation's policies to the cluster
  run_command_enabled                 = local.private # CI uses it to reach a private API server, under Azure RBAC
  cost_analysis_enabled               = var.cluster.sku_tier != "Free"
  image_cleaner_enabled               = true
  image_cleaner_interval_hours        = 48
  automatic_upgrade_channel           = "patch"
  node_os_upgrade_channel             = "NodeImage"

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.cluster.id]
  }

  kubelet_identity {
    client_id                 = azurerm_user_assigned_identity.kubelet.client_id
    object_id                 = azurerm_user_assigned_identity.kubelet.principal_id
    user_assigned_identity_id = azurerm_user_assigned_identity.kubelet.id
  }

  azure_active_directory_role_based_access_control {
    tenant_id          = var.tenant_id
    azure_rbac_enabled = true # azure/identities.tf has the role assignments
  }

  api_server_access_profile {
    virtual_network_integration_enabled = true
    subnet_id                           = azurerm_subnet.api_server.id
    authorized_ip_ranges                = local.private ? null : var.cluster.authorized_ip_ranges
  }

  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    network_data_plane  = "cilium"
    network_policy      = "cilium"
    outbound_type       = "userAssignedNATGateway"
    load_balancer_sku   = "standard"
    pod_cidr            = "10.244.0.0/16"
    service_cidr        = "10.0.0.0/16"
    dns_service_ip      = "10.0.0.10"

    advanced_networking {
      observability_enabled = true
      security_enabled      = true
    }
  }

  default_node_pool {
    name                         = "system"
    vm_size                      = var.system_pool.vm_size
    vnet_subnet_id               = azurerm_subnet.nodes.id
    zones                        = var.cluster.zones
    auto_scaling_enabled         = true
    max_pods                     = 110
    min_count                    = var.system_pool.min_nodes
    max_count                    = var.system_pool.max_nodes
    only_critical_addons_enabled = true
    os_sku                       = "AzureLinux"
    os_disk_type                 = "Ephemeral"
    os_disk_size_gb              = 64
    host_encryption_enabled      = var.cluster.host_encryption
    temporary_name_for_rotation  = "systemtmp"
    tags                         = var.tags

    upgrade_settings {
      max_surge                     = "33%"
      drain_timeout_in_minutes      = 30
      node_soak_duration_in_minutes = 5
    }
  }

  # Nodes scale by the pools below and pods by KEDA, not by node auto-provisioning.
  node_provisioning_profile {
    mode = "Manual"
  }

  auto_scaler_profile {
    expander                      = "least-waste"
    balance_similar_node_groups   = true
    scale_down_unneeded           = "10m"
    skip_nodes_with_local_storage = false # emptyDir volumes hold only temporary data
    skip_nodes_with_system_pods   = true
    max_graceful_termination_sec  = "600"
  }

  workload_autoscaler_profile {
    keda_enabled = true
  }

  storage_profile {
    blob_driver_enabled         = false # models and images are read through the blob API, with the workload's identity
    file_driver_enabled         = false
    disk_driver_enabled         = true
    snapshot_controller_enabled = false
  }

  monitor_metrics {}

  oms_agent {
    log_analytics_workspace_id      = var.telemetry.workspace_id
    msi_auth_for_monitoring_enabled = true
  }

  dynamic "microsoft_defender" {
    for_each = var.cluster.defender ? [1] : []
    content {
      log_analytics_workspace_id = var.telemetry.workspace_id
    }
  }

  maintenance_window_auto_upgrade {
    frequency   = "Weekly"
    interval    = 1
    day_of_week = "Tuesday"
    start_time  = "02:00"
    utc_offset  = "+00:00"
    duration    = 4
  }

  maintenance_window_node_os {
    frequency   = "Weekly"
    interval    = 1
    day_of_week = "Wednesday"
    start_time  = "02:00"
    utc_offset  = "+00:00"
    duration    = 4
  }

  depends_on = [
    azurerm_role_assignment.cluster_joins_subnets,
    azurerm_role_assignment.cluster_hands_out_kubelet_identity,
    azurerm_role_assignment.kubelet_pulls_images,
    azurerm_subnet_nat_gateway_association.nodes,
    azurerm_nat_gateway_public_ip_association.this,
    azurerm_subnet_network_security_group_association.nodes,
  ]

  lifecycle {
    ignore_changes = [
      default_node_pool[0].node_count, # set by the autoscaler
      kubernetes_version,              # set by the patch channel; README describes minor upgrades
    ]
  }
}

resource "azurerm_federated_identity_credential" "workload" {
  for_each                  = var.workloads
  name                      = "${var.name}-${each.key}"
  user_assigned_identity_id = each.value.identity_id
  issuer                    = azurerm_kubernetes_cluster.this.oidc_issuer_url
  subject                   = "system:serviceaccount:${each.value.namespace}:${each.value.service_account}"
  audience                  = ["api://AzureADTokenExchange"]
}
