# Settings that the validation rejects.

mock_provider "azurerm" {
  source = "./tests/mocks"
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

run "unknown_environment" {
  command = plan
  variables {
    environment = "production"
  }
  expect_failures = [var.environment]
}

run "api_server_open_to_the_internet" {
  command = plan
  variables {
    api_server_authorized_ip_ranges = ["0.0.0.0/0"]
  }
  expect_failures = [var.api_server_authorized_ip_ranges]
}

run "production_without_geo_redundancy" {
  command = plan
  variables {
    storage_replication = "LRS"
  }
  expect_failures = [var.storage_replication]
}

run "production_without_an_sla" {
  command = plan
  variables {
    sku_tier = "Free"
  }
  expect_failures = [var.sku_tier]
}

run "production_on_one_system_node" {
  command = plan
  variables {
    system_pool = { vm_size = "Standard_D4ds_v5", min_nodes = 1, max_nodes = 6 }
  }
  expect_failures = [var.system_pool]
}

run "inference_on_spot_nodes" {
  command = plan
  variables {
    gpu_pools = { inference = { purpose = "inference", vm_size = "Standard_NC4as_T4_v3", max_nodes = 1, spot = true } }
  }
  expect_failures = [var.gpu_pools]
}

run "second_region_without_edge" {
  command = plan
  variables {
    secondary_location = "northeurope"
  }
  expect_failures = [var.secondary_location]
}

run "edge_without_authentication" {
  command = plan
  variables {
    edge = { origin_host = "thale.example.org", requests_a_minute = 600 }
  }
  expect_failures = [var.edge]
}

run "audience_that_is_not_an_app_registration" {
  command = plan
  variables {
    entra = { audience = "api://thale" }
  }
  expect_failures = [var.entra]
}

run "alerts_without_recipients" {
  command = plan
  variables {
    alert_emails = { page = [], ticket = ["team@example.org"] }
  }
  expect_failures = [var.alert_emails]
}

run "cluster_without_administrators" {
  command = plan
  variables {
    admin_group_ids = []
  }
  expect_failures = [var.admin_group_ids]
}

run "production_in_one_zone" {
  command = plan
  variables {
    zones = ["1"]
  }
  expect_failures = [var.zones]
}

run "network_overlapping_pod_addresses" {
  command = plan
  variables {
    address_spaces = ["10.244.0.0/16", "10.41.0.0/16"]
  }
  expect_failures = [var.address_spaces]
}

run "locked_retention_in_staging" {
  command = plan
  variables {
    environment     = "staging"
    model_retention = { days = 30, locked = true }
  }
  expect_failures = [var.model_retention]
}
