# A region with a VPN gateway, for admin_access.tftest.hcl. The gateway's size is known only after the apply: each release
# of the provider has its own lists of sizes, and the test is about everything else.

terraform {
  required_providers {
    azurerm = {
      source = "hashicorp/azurerm"
    }
  }
}

resource "terraform_data" "size" {
  input = "VpnGw1AZ"
}

module "region" {
  source        = "../../../modules/region"
  name          = "thale-prod-westeurope"
  location      = "westeurope"
  tenant_id     = "00000000-0000-0000-0000-00000000000a"
  address_space = "10.40.0.0/16"
  registry_id   = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.ContainerRegistry/registries/cr"
  tags          = {}
  gpu_pools     = {}
  private_links = {}
  workloads     = {}
  telemetry     = { workspace_id = "workspace", metrics_rule_id = "metrics", logs_rule_id = "logs" }
  system_pool   = { vm_size = "Standard_D4ds_v5", min_nodes = 3, max_nodes = 6 }
  general_pool  = { vm_size = "Standard_D8ds_v5", min_nodes = 3, max_nodes = 12 }
  cluster = {
    kubernetes_version   = "1.35"
    sku_tier             = "Standard"
    authorized_ip_ranges = []
    zones                = ["1", "2", "3"]
    host_encryption      = true
    defender             = false
  }
  admin_access = { vpn = {
    client_range = "172.30.0.0/24"
    audience     = "c632b3df-fb67-4d84-bdcf-b95ad541b5c8"
    size         = terraform_data.size.output
  } }
}

output "network" {
  value = module.region.admin_network
}

output "access" {
  value = module.region.admin_access
}
