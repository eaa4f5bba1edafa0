# What the cluster tells: metrics to managed Prometheus, container logs and the API server's audit to Log Analytics.

resource "azurerm_monitor_data_collection_rule_association" "this" {
  for_each = {
    prometheus                 = var.telemetry.metrics_rule_id
    ContainerInsightsExtension = var.telemetry.logs_rule_id # the agent looks for this very name
  }
  name                    = each.key
  target_resource_id      = azurerm_kubernetes_cluster.this.id
  data_collection_rule_id = each.value
}

# A private cluster's agents fetch their settings from an endpoint in their own region.
resource "azurerm_monitor_data_collection_endpoint" "settings" {
  name                          = "dce-${var.name}"
  resource_group_name           = azurerm_resource_group.this.name
  location                      = var.location
  kind                          = "Linux"
  public_network_access_enabled = true
  tags                          = var.tags
}

resource "azurerm_monitor_data_collection_rule_association" "settings" {
  name                        = "configurationAccessEndpoint" # Azure takes no other name
  target_resource_id          = azurerm_kubernetes_cluster.this.id
  data_collection_endpoint_id = azurerm_monitor_data_collection_endpoint.settings.id
}

resource "azurerm_monitor_diagnostic_setting" "cluster" {
  name                           = "audit"
  target_resource_id             = azurerm_kubernetes_cluster.this.id
  log_analytics_workspace_id     = var.telemetry.workspace_id
  log_analytics_destination_type = "Dedicated"

  dynamic "enabled_log" {
    # kube-audit-admin leaves reads out: a tenth of the volume, and every change is in it.
    for_each = ["kube-audit-admin", "guard", "cluster-autoscaler", "kube-controller-manager"]
    content {
      category = enabled_log.value
    }
  }
}
