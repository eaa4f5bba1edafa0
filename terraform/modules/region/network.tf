# The virtual network: subnets for nodes, private endpoints and the API server. Only the NAT gateway, for egress of the
# nodes, has a public address.

resource "azurerm_resource_group" "this" {
  name     = "rg-${var.name}"
  location = var.location
  tags     = var.tags
}

resource "azurerm_virtual_network" "this" {
  name                = "vnet-${var.name}"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  address_space       = [var.address_space]
  tags                = var.tags
}

resource "azurerm_subnet" "nodes" {
  name                                          = "snet-nodes"
  resource_group_name                           = azurerm_resource_group.this.name
  virtual_network_name                          = azurerm_virtual_network.this.name
  address_prefixes                              = [cidrsubnet(var.address_space, 4, 0)] # /20: 4,091 nodes; pods have a separate range
  default_outbound_access_enabled               = false
  private_link_service_network_policies_enabled = false # required by the Private Link service of the edge
}

resource "azurerm_subnet" "private_endpoints" {
  name                              = "snet-private-endpoints"
  resource_group_name               = azurerm_resource_group.this.name
  virtual_network_name              = azurerm_virtual_network.this.name
  address_prefixes                  = [cidrsubnet(var.address_space, 8, 16)] # /24
  default_outbound_access_enabled   = false
  private_endpoint_network_policies = "Enabled" # applies the security group below to endpoints
}

resource "azurerm_subnet" "api_server" {
  #checkov:skip=CKV2_AZURE_31:The subnet is delegated to AKS, which manages the rules of the API server
  name                            = "snet-api-server"
  resource_group_name             = azurerm_resource_group.this.name
  virtual_network_name            = azurerm_virtual_network.this.name
  address_prefixes                = [cidrsubnet(var.address_space, 12, 272)] # /28, the minimum of AKS
  default_outbound_access_enabled = false

  delegation {
    name = "aks"
    service_delegation {
      name    = "Microsoft.ContainerService/managedClusters"
      actions = ["Microsoft.Network/virtualNetworks/subnets/join/action"]
    }
  }
}

# Azure's default rules allow only the virtual network and its load balancers, which is sufficient for nodes. Cilium
# enforces the network policies of kubernetes/base between pods.
resource "azurerm_network_security_group" "nodes" {
  name                = "nsg-${var.name}-nodes"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_network_security_group" "private_endpoints" {
  name                = "nsg-${var.name}-private-endpoints"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_network_security_rule" "private_endpoints_https_from_nodes" {
  name                         = "allow-https-from-nodes"
  resource_group_name          = azurerm_resource_group.this.name
  network_security_group_name  = azurerm_network_security_group.private_endpoints.name
  priority                     = 100
  direction                    = "Inbound"
  access                       = "Allow"
  protocol                     = "Tcp"
  source_address_prefixes      = azurerm_subnet.nodes.address_prefixes
  source_port_range            = "*"
  destination_address_prefixes = azurerm_subnet.private_endpoints.address_prefixes
  destination_port_range       = "443"
}

resource "azurerm_network_security_rule" "private_endpoints_postgresql_from_nodes" {
  count                        = contains(keys(var.private_links), "database") ? 1 : 0
  name                         = "allow-postgresql-from-nodes"
  resource_group_name          = azurerm_resource_group.this.name
  network_security_group_name  = azurerm_network_security_group.private_endpoints.name
  priority                     = 110
  direction                    = "Inbound"
  access                       = "Allow"
  protocol                     = "Tcp"
  source_address_prefixes      = azurerm_subnet.nodes.address_prefixes
  source_port_range            = "*"
  destination_address_prefixes = azurerm_subnet.private_endpoints.address_prefixes
  destination_port_range       = "5432"
}

resource "azurerm_network_security_rule" "private_endpoints_nothing_else" {
  name                        = "deny-everything-else-in"
  resource_group_name         = azurerm_resource_group.this.name
  network_security_group_name = azurerm_network_security_group.private_endpoints.name
  priority                    = 4000
  direction                   = "Inbound"
  access                      = "Deny"
  protocol                    = "*"
  source_address_prefix       = "*"
  source_port_range           = "*"
  destination_address_prefix  = "*"
  destination_port_range      = "*"
}

resource "azurerm_subnet_network_security_group_association" "nodes" {
  subnet_id                 = azurerm_subnet.nodes.id
  network_security_group_id = azurerm_network_security_group.nodes.id
}

resource "azurerm_subnet_network_security_group_association" "private_endpoints" {
  subnet_id                 = azurerm_subnet.private_endpoints.id
  network_security_group_id = azurerm_network_security_group.private_endpoints.id
}

locals {
  # Standard is zonal and StandardV2 is zone-redundant, at the same price. Regions without zones have only Standard.
  nat_sku = length(var.cluster.zones) == 0 ? "Standard" : "StandardV2"
}

resource "azurerm_public_ip" "nat" {
  name                = "pip-${var.name}-nat"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  allocation_method   = "Static"
  sku                 = local.nat_sku
  zones               = local.nat_sku == "StandardV2" ? ["1", "2", "3"] : null
  tags                = var.tags
}

resource "azurerm_nat_gateway" "this" {
  name                    = "ng-${var.name}"
  resource_group_name     = azurerm_resource_group.this.name
  location                = var.location
  sku_name                = local.nat_sku
  idle_timeout_in_minutes = 10
  tags                    = var.tags
}

resource "azurerm_nat_gateway_public_ip_association" "this" {
  nat_gateway_id       = azurerm_nat_gateway.this.id
  public_ip_address_id = azurerm_public_ip.nat.id
}

resource "azurerm_subnet_nat_gateway_association" "nodes" {
  subnet_id      = azurerm_subnet.nodes.id
  nat_gateway_id = azurerm_nat_gateway.this.id
}
