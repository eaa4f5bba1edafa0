# The way in for administrators: what each option opens, and that nothing is open without one.

mock_provider "azurerm" {
  source = "./tests/mocks"
  mock_resource "azurerm_kubernetes_cluster" {
    defaults = { private_fqdn = "aks-thale-x.1234.privatelink.westeurope.azmk8s.io" }
  }
}

variables {
  subscription_id     = "00000000-0000-0000-0000-000000000001"
  admin_group_ids     = ["00000000-0000-0000-0000-000000000002"]
  alert_emails        = { page = ["pager@example.org"], ticket = ["team@example.org"] }
  environment         = "prod"
  location            = "westeurope"
  system_pool         = { vm_size = "Standard_D4ds_v5", min_nodes = 3, max_nodes = 6 }
  general_pool        = { vm_size = "Standard_D8ds_v5", min_nodes = 3, max_nodes = 12 }
  storage_replication = "RAGZRS"
  model_retention     = { days = 3650 }
  monthly_budget      = 5000
}

run "without_a_way_in_nothing_is_open" {
  command = plan

  assert {
    condition     = jsonencode({ for priority, rule in module.region["primary"].admin_network.endpoint_rules : priority => rule.access }) == jsonencode({ "100" = "Allow", "4000" = "Deny" })
    error_message = "The private endpoints accept more than the nodes, or do not deny the rest."
  }
  assert {
    condition     = jsonencode({ for name, value in module.region["primary"].admin_network : name => value if name != "endpoint_rules" }) == jsonencode({ client_configurations = [], gateways = 0, hub_gateway = [], linked_api = 0, linked_zones = [], node_rules = {}, peerings = [] })
    error_message = "A rule, peering, link or gateway for administrators exists without admin_access."
  }
}

run "hub_opens_https_for_its_administrators" {
  command = plan
  variables {
    admin_access = { hub = {
      virtual_network_id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub"
      prefixes           = ["10.0.8.0/24", "192.168.4.0/24"]
      use_gateway        = true
    } }
  }

  assert {
    condition     = jsonencode(module.region["primary"].admin_network.endpoint_rules["200"]) == jsonencode({ access = "Allow", destinations = ["10.40.16.0/24"], port = "443", sources = ["10.0.8.0/24", "192.168.4.0/24"] })
    error_message = "The administrators' addresses do not reach the private endpoints on port 443, or more than that is open."
  }
  assert {
    condition     = module.region["primary"].admin_network.endpoint_rules["4000"].access == "Deny" && module.region["primary"].admin_network.endpoint_rules["4000"].sources[0] == "*"
    error_message = "The private endpoints no longer deny the rest."
  }
  assert {
    condition     = module.region["primary"].admin_network.node_rules["200"].port == "443" && jsonencode(module.region["primary"].admin_network.node_rules["210"]) == jsonencode({ access = "Deny", port = "*", sources = ["10.0.8.0/24", "192.168.4.0/24"] })
    error_message = "Administrators reach ports of the nodes other than the gateway's."
  }
  assert {
    condition     = join(",", module.region["primary"].admin_network.peerings) == "to-hub,to-thale-prod-westeurope" && jsonencode(module.region["primary"].admin_network.hub_gateway) == "[true,true]"
    error_message = "The networks are not peered both ways, or the hub's VPN clients have no route."
  }
  assert {
    condition     = toset(module.region["primary"].admin_network.linked_zones) == toset(["privatelink.blob.core.windows.net", "privatelink.vaultcore.azure.net", "privatelink.azurecr.io"]) && module.region["primary"].admin_network.linked_api == 1
    error_message = "The hub does not resolve an endpoint or the private API server."
  }
  assert {
    condition     = output.admin_access["primary"].hub_command == null && module.region["primary"].admin_network.gateways == 0
    error_message = "A peered hub needs no other command and no gateway."
  }
}

run "hub_of_another_subscription_gets_a_command" {
  command = plan
  variables {
    admin_access = { hub = {
      virtual_network_id = "/subscriptions/00000000-0000-0000-0000-0000000000ff/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub"
      prefixes           = ["10.0.8.0/24"]
    } }
  }

  assert {
    condition     = join(",", module.region["primary"].admin_network.peerings) == "to-hub"
    error_message = "Terraform would write to a subscription in which it has no rights."
  }
}

run "vpn_signs_in_people_with_entra" {
  command = plan
  module {
    source = "./tests/vpn"
  }

  assert {
    condition     = jsonencode(output.network.endpoint_rules["200"]) == jsonencode({ access = "Allow", destinations = ["10.40.16.0/24"], port = "443", sources = ["172.30.0.0/24"] })
    error_message = "VPN clients do not reach the private endpoints on port 443, or more than that is open."
  }
  assert {
    condition     = jsonencode(output.network.client_configurations) == jsonencode([{ auth_types = ["AAD"], issuer = "https://sts.windows.net/00000000-0000-0000-0000-00000000000a/" }])
    error_message = "The VPN accepts something other than a sign-in with Entra in this tenant."
  }
  assert {
    condition     = output.access.dns_server == "10.40.18.36" && output.network.gateways == 3 && length(output.network.peerings) == 0
    error_message = "VPN clients have no gateway, or no DNS server that knows the private endpoints."
  }
}

run "second_region_has_its_own_way_in" {
  command = plan
  variables {
    secondary_location = "northeurope"
    edge               = { origin_host = "thale.example.org", requests_a_minute = 600 }
    entra              = { audience = "00000000-0000-0000-0000-00000000000d" }
    admin_access = { hub = {
      virtual_network_id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub"
      prefixes           = ["10.0.8.0/24"]
    } }
  }

  assert {
    condition     = module.region["secondary"].admin_network.endpoint_rules["200"].sources == tolist(["10.0.8.0/24"]) && module.region["secondary"].admin_network.linked_api == 1
    error_message = "Administrators do not reach the second region."
  }
  assert {
    condition     = length(module.region["secondary"].admin_network.linked_zones) == 0
    error_message = "The hub would be linked to two zones of one name, which Azure refuses."
  }
}

run "administrators_run_commands" {
  command = plan

  assert {
    condition     = toset([for grant in azurerm_role_assignment.runs_commands : grant.principal_id]) == toset(["00000000-0000-0000-0000-000000000002"])
    error_message = "`az aks command invoke` is refused to administrators, or allowed to others."
  }
  assert {
    condition     = alltrue([for grant in azurerm_role_assignment.runs_commands : grant.role_definition_id == "/subscriptions/00000000-0000-0000-0000-000000000001/providers/Microsoft.Authorization/roleDefinitions/${uuidv5("url", "thale/cluster-commands/00000000-0000-0000-0000-000000000001")}"])
    error_message = "The role differs from the one that bootstrap creates."
  }
}

run "api_server_with_public_ranges_runs_no_commands" {
  command = plan
  variables {
    api_server_authorized_ip_ranges = ["203.0.113.0/28"]
  }

  assert {
    condition     = length(azurerm_role_assignment.runs_commands) == 0
    error_message = "The role is assigned although the clusters refuse `az aks command invoke`."
  }
}

run "way_in_for_everybody_is_refused" {
  command = plan
  variables {
    admin_access = { hub = {
      virtual_network_id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub"
      prefixes           = ["0.0.0.0/0"]
    } }
  }
  expect_failures = [var.admin_access]
}

run "two_gateways_are_refused" {
  command = plan
  variables {
    admin_access = {
      vpn = { client_range = "172.30.0.0/24" }
      hub = {
        virtual_network_id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub"
        prefixes           = ["10.0.8.0/24"]
        use_gateway        = true
      }
    }
  }
  expect_failures = [var.admin_access]
}

run "way_in_without_an_option_is_refused" {
  command = plan
  variables {
    admin_access = {}
  }
  expect_failures = [var.admin_access]
}
