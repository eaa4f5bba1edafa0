# Logs, metrics, dashboards, and action groups.

locals {
  container_streams = ["Microsoft-ContainerLogV2", "Microsoft-KubeEvents", "Microsoft-KubePodInventory"]
}

resource "azurerm_log_analytics_workspace" "this" {
  name                         = "log-${local.name}"
  resource_group_name          = azurerm_resource_group.this.name
  location                     = var.location
  sku                          = "PerGB2018"
  retention_in_days            = var.log_retention_days
  daily_quota_gb               = var.log_daily_quota_gb
  local_authentication_enabled = false
  tags                         = local.tags
}

# The workspace drops all logs between its daily cap and the next reset. The table of this query is never dropped.
resource "azurerm_monitor_scheduled_query_rules_alert_v2" "log_cap" {
  name                    = "ThaleLogCapReached"
  display_name            = "ThaleLogCapReached: logs of ${var.environment} are dropped until the daily reset"
  resource_group_name     = azurerm_resource_group.this.name
  location                = var.location
  scopes                  = [azurerm_log_analytics_workspace.this.id]
  severity                = local.severities["ticket"]
  evaluation_frequency    = "PT15M"
  window_duration         = "PT1H"
  auto_mitigation_enabled = true
  tags                    = local.tags

  criteria {
    query                   = "_LogOperation | where Category =~ \"Ingestion\" | where Detail contains \"OverQuota\""
    time_aggregation_method = "Count"
    operator                = "GreaterThan"
    threshold               = 0
  }

  action {
    action_groups     = [azurerm_monitor_action_group.this["ticket"].id]
    custom_properties = { runbook_url = "${coalesce(var.runbooks_url, "observability/runbooks.md")}#thalelogcapreached" }
  }
}

resource "azurerm_monitor_workspace" "this" {
  name                = "amw-${local.name}"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = local.tags
}

resource "azurerm_dashboard_grafana" "this" {
  name                          = local.names.grafana
  resource_group_name           = azurerm_resource_group.this.name
  location                      = var.location
  sku                           = "Standard"
  grafana_major_version         = "12" # Azure offers two versions at a time; 11 is deprecated
  api_key_enabled               = false
  public_network_access_enabled = true # users sign in with Entra; the data sources use Grafana's identity
  zone_redundancy_enabled       = var.environment == "prod"
  tags                          = local.tags

  identity {
    type = "SystemAssigned"
  }

  azure_monitor_workspace_integrations {
    resource_id = azurerm_monitor_workspace.this.id
  }
}

resource "azurerm_role_assignment" "grafana_reads_metrics" {
  scope                = azurerm_monitor_workspace.this.id
  role_definition_name = "Monitoring Data Reader"
  principal_id         = azurerm_dashboard_grafana.this.identity[0].principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "grafana_reads_logs" {
  scope                = azurerm_log_analytics_workspace.this.id
  role_definition_name = "Log Analytics Reader"
  principal_id         = azurerm_dashboard_grafana.this.identity[0].principal_id
  principal_type       = "ServicePrincipal"
}

# Data collection from the clusters. Azure requires these rules in the region of the workspaces; clusters of any region use them.
resource "azurerm_monitor_data_collection_endpoint" "metrics" {
  name                          = "dce-${local.name}-metrics"
  resource_group_name           = azurerm_resource_group.this.name
  location                      = var.location
  kind                          = "Linux"
  public_network_access_enabled = true # ingestion only; agents authenticate with the cluster's identity
  tags                          = local.tags
}

resource "azurerm_monitor_data_collection_rule" "metrics" {
  name                        = "dcr-${local.name}-metrics"
  resource_group_name         = azurerm_resource_group.this.name
  location                    = var.location
  kind                        = "Linux"
  data_collection_endpoint_id = azurerm_monitor_data_collection_endpoint.metrics.id
  tags                        = local.tags

  data_sources {
    prometheus_forwarder {
      name    = "prometheus"
      streams = ["Microsoft-PrometheusMetrics"]
    }
  }

  destinations {
    monitor_account {
      name               = "workspace"
      monitor_account_id = azurerm_monitor_workspace.this.id
    }
  }

  data_flow {
    streams      = ["Microsoft-PrometheusMetrics"]
    destinations = ["workspace"]
  }
}

resource "azurerm_monitor_data_collection_rule" "logs" {
  name                = "dcr-${local.name}-logs"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  kind                = "Linux"
  tags                = local.tags

  data_sources {
    extension {
      name           = "containers"
      extension_name = "ContainerInsights"
      streams        = local.container_streams
      extension_json = jsonencode({
        dataCollectionSettings = {
          interval               = "1m"
          namespaceFilteringMode = "Exclude"
          namespaces             = ["kube-system", "gatekeeper-system"]
          enableContainerLogV2   = true
        }
      })
    }
  }

  destinations {
    log_analytics {
      name                  = "workspace"
      workspace_resource_id = azurerm_log_analytics_workspace.this.id
    }
  }

  data_flow {
    streams      = local.container_streams
    destinations = ["workspace"]
  }
}

resource "azurerm_monitor_action_group" "this" {
  for_each            = var.alert_emails
  name                = "ag-${local.name}-${each.key}"
  resource_group_name = azurerm_resource_group.this.name
  short_name          = each.key
  tags                = local.tags

  dynamic "email_receiver" {
    for_each = each.value
    content {
      name                    = email_receiver.value
      email_address           = email_receiver.value
      use_common_alert_schema = true
    }
  }
}
