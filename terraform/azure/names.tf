# Names of all resources. Globally unique names end in a digest of the subscription, so that they are known in a plan.

locals {
  name   = "thale-${var.environment}"
  digest = substr(sha256("${var.subscription_id}/${local.name}"), 0, 6)
  names = {
    storage   = "stthale${var.environment}${local.digest}"
    registry  = "crthale${var.environment}${local.digest}"
    key_vault = "kv-${local.name}-${local.digest}"
    database  = "psql-${local.name}-${local.digest}"
    grafana   = "gf-${local.name}-${local.digest}" # up to 23 characters
  }

  tags = merge(var.tags, { project = "thale", environment = var.environment })

  locations = merge(
    { primary = var.location },
    var.secondary_location == null ? {} : { secondary = var.secondary_location },
  )
}

resource "azurerm_resource_group" "this" {
  name     = "rg-${local.name}"
  location = var.location
  tags     = local.tags
}
