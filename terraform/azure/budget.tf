# Budget alerts: at 80 % of the forecast and at 100 % of the actual cost.

resource "azurerm_consumption_budget_subscription" "this" {
  name            = "budget-${local.name}"
  subscription_id = "/subscriptions/${var.subscription_id}"
  amount          = var.monthly_budget
  time_grain      = "Monthly"

  time_period {
    start_date = formatdate("YYYY-MM-'01T00:00:00Z'", plantimestamp())
  }

  # AKS creates the nodes' resource groups. The tags are on all resources.
  filter {
    tag {
      name   = "environment"
      values = [var.environment]
    }
  }

  notification {
    operator       = "GreaterThanOrEqualTo"
    threshold      = 80
    threshold_type = "Forecasted"
    contact_groups = [azurerm_monitor_action_group.this["ticket"].id]
  }

  notification {
    operator       = "GreaterThanOrEqualTo"
    threshold      = 100
    threshold_type = "Actual"
    contact_groups = [azurerm_monitor_action_group.this["ticket"].id]
  }

  lifecycle {
    ignore_changes = [time_period] # Azure rejects a start in a past month, and later changes
  }
}
