# Storage of experiments, which is off by default.

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
  experiments_enabled = true
}

run "experiments" {
  command = plan

  assert {
    condition     = alltrue([for container in azurerm_storage_container.experiments : container.container_access_type == "private"]) && keys(azurerm_storage_queue.experiments) == ["jobs", "jobs-refused"]
    error_message = "A container has public read access, or a queue is missing."
  }
  assert {
    condition     = contains(keys(module.region["primary"].private_endpoints), "queue")
    error_message = "The queues are unreachable: they have no private endpoint."
  }
  assert {
    condition     = alltrue([for rule in azurerm_storage_management_policy.experiments[0].rule : !contains(flatten([rule.filters[0].prefix_match]), "models/")])
    error_message = "A lifecycle rule applies to models."
  }
  assert {
    condition     = azurerm_storage_management_policy.experiments[0].rule[0].actions[0].base_blob[0].tier_to_cold_after_days_since_modification_greater_than == 180
    error_message = "Zone-replicated accounts have no archive tier: cold is the deepest."
  }
  assert {
    condition     = azurerm_storage_account.this.network_rules[0].bypass == toset(["AzureServices"]) && !azurerm_storage_account.this.public_network_access_enabled
    error_message = "Azure's lifecycle management cannot move blobs, or the account is public."
  }
}

run "archive_is_the_deepest_tier_without_zones" {
  command = plan
  variables {
    environment         = "dev"
    storage_replication = "LRS"
  }

  assert {
    condition     = azurerm_storage_management_policy.experiments[0].rule[0].actions[0].base_blob[0].tier_to_archive_after_days_since_modification_greater_than == 180
    error_message = "Photographs do not move to the archive tier."
  }
}
