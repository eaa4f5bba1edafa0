# Names, once. Those that are unique in all of Azure end in a digest of the subscription, so that a plan knows them.

locals {
  name   = "thale-${var.environment}"
  digest = substr(sha256("${var.subscription_id}/${local.name}"), 0, 6)
  names = {
    storage   = "stthale${var.environment}${local.digest}"
    registry  = "crthale${var.environment}${local.digest}"
    key_vault = "kv-${local.name}-${local.digest}"
    grafana   = "gf-${local.name}-${local.digest}" # 23 characters at most
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
