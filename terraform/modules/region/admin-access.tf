# Optional: the way in for administrators, to the private endpoints, the API server and the gateway. Two options: peering
# with an existing hub network, and a VPN gateway that needs nothing beforehand (docs/adr/0098-administrators-enter-by-hub-or-vpn.md).

locals {
  hub = { for hub in var.admin_access.hub[*] : "this" => merge(hub, {
    subscription_id = split("/", hub.virtual_network_id)[2]
    resource_group  = split("/", hub.virtual_network_id)[4]
    name            = split("/", hub.virtual_network_id)[8]
  }) }
  vpn            = { for vpn in var.admin_access.vpn[*] : "this" => vpn }
  admin_prefixes = concat(flatten([for hub in local.hub : hub.prefixes]), [for vpn in local.vpn : vpn.client_range])

  own_hub = { for key, hub in local.hub : key => hub if hub.peer_back }
  # A network can be linked to only one zone of a name, so only the first region's zones are linked to the hub.
  hub_zones = merge([for hub in local.hub : { for zone in local.dns_zones : zone => hub } if hub.link_zones]...)
}

# Allow the administrators' addresses on port 443 only, before the rule that denies the rest.
resource "azurerm_network_security_rule" "private_endpoints_https_from_administrators" {
  count                        = length(local.admin_prefixes) > 0 ? 1 : 0
  name                         = "allow-https-from-administrators"
  resource_group_name          = azurerm_resource_group.this.name
  network_security_group_name  = azurerm_network_security_group.private_endpoints.name
  priority                     = 200
  direction                    = "Inbound"
  access                       = "Allow"
  protocol                     = "Tcp"
  source_address_prefixes      = local.admin_prefixes
  source_port_range            = "*"
  destination_address_prefixes = azurerm_subnet.private_endpoints.address_prefixes
  destination_port_range       = "443"
}

# Azure counts a peered network and VPN clients as part of the virtual network, to which its default rule opens all ports
# of the nodes. Administrators need the gateway only.
resource "azurerm_network_security_rule" "nodes_from_administrators" {
  for_each = length(local.admin_prefixes) == 0 ? {} : {
    allow-https-from-administrators        = { priority = 200, access = "Allow", protocol = "Tcp", port = "443" }
    deny-everything-else-of-administrators = { priority = 210, access = "Deny", protocol = "*", port = "*" }
  }
  name                        = each.key
  resource_group_name         = azurerm_resource_group.this.name
  network_security_group_name = azurerm_network_security_group.nodes.name
  priority                    = each.value.priority
  direction                   = "Inbound"
  access                      = each.value.access
  protocol                    = each.value.protocol
  source_address_prefixes     = local.admin_prefixes
  source_port_range           = "*"
  destination_address_prefix  = "*"
  destination_port_range      = each.value.port
}

resource "azurerm_virtual_network_peering" "to_hub" {
  for_each                     = local.hub
  name                         = "to-hub"
  resource_group_name          = azurerm_resource_group.this.name
  virtual_network_name         = azurerm_virtual_network.this.name
  remote_virtual_network_id    = each.value.virtual_network_id
  allow_virtual_network_access = true
  allow_forwarded_traffic      = true # from the hub's gateway or firewall
  use_remote_gateways          = each.value.use_gateway

  depends_on = [azurerm_virtual_network_peering.from_hub] # Azure refuses the hub's gateway before its side offers it
}

resource "azurerm_virtual_network_peering" "from_hub" {
  for_each                     = local.own_hub
  name                         = "to-${var.name}"
  resource_group_name          = each.value.resource_group
  virtual_network_name         = each.value.name
  remote_virtual_network_id    = azurerm_virtual_network.this.id
  allow_virtual_network_access = true
  allow_forwarded_traffic      = false
  allow_gateway_transit        = each.value.use_gateway
}

resource "azurerm_private_dns_zone_virtual_network_link" "hub" {
  for_each            = local.hub_zones
  name                = "link-${var.name}-hub"
  private_dns_zone_id = azurerm_private_dns_zone.this[each.key].id
  virtual_network_id  = each.value.virtual_network_id
  tags                = var.tags
}

# AKS creates the zone of a private API server itself, in the resource group of the nodes. Its name is the API server's
# without the first label. It is unique for each cluster, so the second region's is linked too.
resource "azurerm_private_dns_zone_virtual_network_link" "hub_api_server" {
  for_each = local.private ? local.hub : {}
  name     = "link-${var.name}-hub"
  private_dns_zone_id = join("/", [
    regex("^/subscriptions/[^/]+", azurerm_resource_group.this.id),
    "resourceGroups/${azurerm_kubernetes_cluster.this.node_resource_group}",
    "providers/Microsoft.Network/privateDnsZones",
    trimprefix(regex("\\..*$", azurerm_kubernetes_cluster.this.private_fqdn), "."),
  ])
  virtual_network_id = each.value.virtual_network_id
  tags               = var.tags
}

# The VPN gateway: people sign in with Entra; there is no key and no certificate.
resource "azurerm_subnet" "vpn" {
  #checkov:skip=CKV2_AZURE_31:Azure does not support a security group on the subnet of a gateway
  for_each                        = local.vpn
  name                            = "GatewaySubnet" # the only name that Azure accepts
  resource_group_name             = azurerm_resource_group.this.name
  virtual_network_name            = azurerm_virtual_network.this.name
  address_prefixes                = [cidrsubnet(var.address_space, 11, 144)] # /27
  default_outbound_access_enabled = false
}

resource "azurerm_public_ip" "vpn" {
  for_each            = local.vpn
  name                = "pip-${var.name}-vpn"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  allocation_method   = "Static"
  sku                 = "Standard"
  zones               = length(var.cluster.zones) == 0 ? null : ["1", "2", "3"]
  tags                = var.tags
}

resource "azurerm_virtual_network_gateway" "vpn" {
  for_each            = local.vpn
  name                = "vpn-${var.name}"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  type                = "Vpn"
  vpn_type            = "RouteBased"
  sku                 = each.value.size
  generation          = "Generation1"
  active_active       = false
  tags                = var.tags

  ip_configuration {
    subnet_id            = azurerm_subnet.vpn[each.key].id
    public_ip_address_id = azurerm_public_ip.vpn[each.key].id
  }

  vpn_client_configuration {
    address_space        = [each.value.client_range]
    vpn_client_protocols = ["OpenVPN"] # the only protocol with Entra
    vpn_auth_types       = ["AAD"]
    aad_tenant           = "https://login.microsoftonline.com/${var.tenant_id}/"
    aad_issuer           = "https://sts.windows.net/${var.tenant_id}/"
    aad_audience         = each.value.audience
  }
}

# VPN clients cannot reach Azure's own resolver: this one answers from the private zones that are linked to the network.
resource "azurerm_subnet" "dns" {
  #checkov:skip=CKV2_AZURE_31:The subnet is delegated to the resolver, which only answers DNS
  for_each                        = local.vpn
  name                            = "snet-dns"
  resource_group_name             = azurerm_resource_group.this.name
  virtual_network_name            = azurerm_virtual_network.this.name
  address_prefixes                = [cidrsubnet(var.address_space, 12, 290)] # /28, the minimum
  default_outbound_access_enabled = false

  delegation {
    name = "dns"
    service_delegation {
      name    = "Microsoft.Network/dnsResolvers"
      actions = ["Microsoft.Network/virtualNetworks/subnets/join/action"]
    }
  }
}

resource "azurerm_private_dns_resolver" "this" {
  for_each            = local.vpn
  name                = "dnspr-${var.name}"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  virtual_network_id  = azurerm_virtual_network.this.id
  tags                = var.tags
}

resource "azurerm_private_dns_resolver_inbound_endpoint" "this" {
  for_each                = local.vpn
  name                    = "inbound"
  private_dns_resolver_id = azurerm_private_dns_resolver.this[each.key].id
  location                = var.location
  tags                    = var.tags

  ip_configurations {
    subnet_id                    = azurerm_subnet.dns[each.key].id
    private_ip_allocation_method = "Static"
    private_ip_address           = cidrhost(azurerm_subnet.dns[each.key].address_prefixes[0], 4) # Azure reserves the first four
  }
}
