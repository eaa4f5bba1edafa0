# The rules of observability/rules for the managed Prometheus, which has no PrometheusRule: the same files, read here.
# It has no inhibition either: during a page, the tickets of its causes arrive as well.
# checkov cannot parse an argument named `for`, so the Makefile excludes this file. Keep other resources out of it.

locals {
  rules_folder = "${path.module}/../../observability/rules"
  rule_files   = [for name in fileset(local.rules_folder, "*.yaml") : yamldecode(file("${local.rules_folder}/${name}"))]
  rule_groups  = { for group in flatten(local.rule_files[*].groups) : group.name => group.rules }

  # A lost cluster reports nothing, and the facades of the other region would keep a single `absent` silent. So there is one
  # for each cluster. The collector sets the label `cluster` to the name of the cluster.
  absent_facade = "absent(up{job=\"thale-facade\"})"
  absent_facade_of_a_cluster = join(" or ", [
    for region in module.region : "absent(up{job=\"thale-facade\",cluster=\"${region.cluster_name}\"})"
  ])

  # Azure's severities 1 (error) and 3 (informational).
  severities = { page = 1, ticket = 3 }
}

resource "azurerm_monitor_alert_prometheus_rule_group" "this" {
  for_each            = local.rule_groups
  name                = "prg-${local.name}-${each.key}"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  interval            = "PT1M" # the minimum
  rule_group_enabled  = true
  scopes              = [azurerm_monitor_workspace.this.id]
  tags                = local.tags

  dynamic "rule" {
    for_each = each.value
    content {
      record     = lookup(rule.value, "record", null)
      alert      = lookup(rule.value, "alert", null)
      expression = replace(rule.value.expr, local.absent_facade, local.absent_facade_of_a_cluster)
      for        = can(rule.value.for) ? "PT${upper(rule.value.for)}" : null
      severity   = can(rule.value.alert) ? local.severities[rule.value.labels.severity] : null
      labels     = can(rule.value.alert) ? merge(rule.value.labels, { environment = var.environment }) : lookup(rule.value, "labels", null)
      # The links of the committed rules have a placeholder (observability/runbooks.toml).
      annotations = !can(rule.value.alert) ? null : merge(rule.value.annotations, {
        runbook_url = var.runbooks_url == null ? rule.value.annotations.runbook_url : "${var.runbooks_url}#${lower(rule.value.alert)}"
      })

      dynamic "action" {
        for_each = can(rule.value.alert) ? [rule.value.labels.severity] : []
        content {
          action_group_id = azurerm_monitor_action_group.this[action.value].id
        }
      }

      dynamic "alert_resolution" {
        for_each = can(rule.value.alert) ? [true] : []
        content {
          auto_resolved   = true
          time_to_resolve = "PT10M"
        }
      }
    }
  }
}
