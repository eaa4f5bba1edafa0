# Private endpoints for storage, secrets and images. Each region has its own DNS zones, so that a cluster resolves each
# name to an address in its network, even if the other region is down.

locals {
  dns_zones = toset(flatten([for link in var.private_links : link.dns_zones]))
}

resource "azurerm_private_dns_zone" "this" {
  for_each            = local.dns_zones
  name                = each.value
  resource_group_name = azurerm_resource_group.this.name
  tags                = var.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "this" {
  for_each            = local.dns_zones
  name                = "link-${var.name}"
  private_dns_zone_id = azurerm_private_dns_zone.this[each.value].id
  virtual_network_id  = azurerm_virtual_network.this.id
  tags                = var.tags
}

resource "azurerm_private_endpoint" "this" {
  for_each            = var.private_links
  name                = "pe-${var.name}-${each.key}"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  subnet_id           = azurerm_subnet.private_endpoints.id
  tags                = var.tags

  private_service_connection {
    name                           = each.key
    private_connection_resource_id = each.value.resource_id
    subresource_names              = [each.value.subresource]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "default"
    private_dns_zone_ids = [for zone in each.value.dns_zones : azurerm_private_dns_zone.this[zone].id]
  }
}
