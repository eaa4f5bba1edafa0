# Telemetry of the cluster: metrics to managed Prometheus, container logs and the API server's audit log to Log Analytics.

resource "azurerm_monitor_data_collection_rule_association" "this" {
  for_each = {
    prometheus                 = var.telemetry.metrics_rule_id
    ContainerInsightsExtension = var.telemetry.logs_rule_id # the agent requires this name
  }
  name                    = each.key
  target_resource_id      = azurerm_kubernetes_cluster.this.id
  data_collection_rule_id = each.value
}

# The agents of a private cluster fetch their settings from an endpoint in their region.
resource "azurerm_monitor_data_collection_endpoint" "settings" {
  name                          = "dce-${var.name}"
  resource_group_name           = azurerm_resource_group.this.name
  location                      = var.location
  kind                          = "Linux"
  public_network_access_enabled = true
  tags                          = var.tags
}

resource "azurerm_monitor_data_collection_rule_association" "settings" {
  name                        = "configurationAccessEndpoint" # the only name that Azure accepts
  target_resource_id          = azurerm_kubernetes_cluster.this.id
  data_collection_endpoint_id = azurerm_monitor_data_collection_endpoint.settings.id
}

resource "azurerm_monitor_diagnostic_setting" "cluster" {
  name                           = "audit"
  target_resource_id             = azurerm_kubernetes_cluster.this.id
  log_analytics_workspace_id     = var.telemetry.workspace_id
  log_analytics_destination_type = "Dedicated"

  dynamic "enabled_log" {
    # kube-audit-admin omits reads: it has a tenth of the volume and all changes.
    for_each = ["kube-audit-admin", "guard", "cluster-autoscaler", "kube-controller-manager"]
    content {
      category = enabled_log.value
    }
  }
}
