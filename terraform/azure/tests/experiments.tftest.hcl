# The store of experiments, which is off by default.

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
  experiments_database = {
    sku_name             = "GP_Standard_D2ds_v5"
    zone_redundant       = true
    backup_days          = 35
    geo_redundant_backup = true
    admin_groups         = { "00000000-0000-0000-0000-000000000002" = "thale administrators" }
  }
}

run "container" {
  command = plan

  assert {
    condition     = azurerm_storage_container.experiments[0].container_access_type == "private"
    error_message = "The container has public read access."
  }
  assert {
    condition     = alltrue([for rule in azurerm_storage_management_policy.experiments[0].rule : flatten([rule.filters[0].prefix_match]) == ["experiments/"]])
    error_message = "A lifecycle rule applies to models."
  }
  assert {
    condition     = azurerm_storage_account.this.network_rules[0].bypass == toset(["AzureServices"]) && !azurerm_storage_account.this.public_network_access_enabled
    error_message = "Azure's lifecycle management cannot move blobs, or the account is public."
  }
}

run "photographs_stay_readable_without_zones" {
  command = plan
  variables {
    environment         = "dev"
    storage_replication = "LRS"
  }

  assert {
    condition     = azurerm_storage_management_policy.experiments[0].rule[0].actions[0].base_blob[0].tier_to_cold_after_days_since_modification_greater_than == 180 && azurerm_storage_management_policy.experiments[0].rule[0].actions[0].base_blob[0].tier_to_archive_after_days_since_modification_greater_than == null
    error_message = "Photographs move to the archive tier, where the facade cannot read them."
  }
}

run "database_is_private_without_passwords" {
  command = plan

  assert {
    condition     = !azurerm_postgresql_flexible_server.experiments[0].public_network_access_enabled && contains(keys(module.region["primary"].private_endpoints), "database")
    error_message = "The database is public, or has no private endpoint."
  }
  assert {
    condition     = !azurerm_postgresql_flexible_server.experiments[0].authentication[0].password_auth_enabled && azurerm_postgresql_flexible_server.experiments[0].authentication[0].active_directory_auth_enabled
    error_message = "The database accepts passwords, or no tokens."
  }
  assert {
    condition     = [for admin in azurerm_postgresql_flexible_server_active_directory_administrator.experiments : admin.principal_type] == ["Group"]
    error_message = "The administrators of the database are not a group."
  }
}

run "database_survives_a_zone_and_a_mistake" {
  command = plan

  assert {
    condition     = azurerm_postgresql_flexible_server.experiments[0].high_availability[0].mode == "ZoneRedundant"
    error_message = "The database has no standby in another zone."
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.experiments[0].backup_retention_days == 35 && azurerm_postgresql_flexible_server.experiments[0].geo_redundant_backup_enabled && azurerm_postgresql_flexible_server.experiments[0].auto_grow_enabled
    error_message = "Backups are too short or in one region, or the disk does not grow."
  }
  assert {
    condition     = { for name, alert in azurerm_monitor_metric_alert.experiments : name => alert.severity } == { connections = 3, cpu = 3, down = 1, storage = 3 }
    error_message = "An alert of the database is missing, or a lost database does not page."
  }
}

run "nothing_by_default" {
  command = plan
  variables {
    experiments_enabled = false
  }

  assert {
    condition     = length(azurerm_postgresql_flexible_server.experiments) + length(azurerm_storage_container.experiments) + length(azurerm_monitor_metric_alert.experiments) == 0 && !contains(keys(module.region["primary"].private_endpoints), "database")
    error_message = "An environment without experiments pays for their store."
  }
}

run "production_without_a_standby" {
  command = plan
  variables {
    experiments_database = { sku_name = "GP_Standard_D2ds_v5", backup_days = 35, geo_redundant_backup = true, admin_groups = { "00000000-0000-0000-0000-000000000002" = "administrators" } }
  }
  expect_failures = [var.experiments_database]
}

run "standby_of_a_burstable_server" {
  command = plan
  variables {
    environment          = "dev"
    experiments_database = { zone_redundant = true, admin_groups = { "00000000-0000-0000-0000-000000000002" = "administrators" } }
  }
  expect_failures = [var.experiments_database]
}

run "database_without_an_administrator" {
  command = plan
  variables {
    environment          = "dev"
    experiments_database = {}
  }
  expect_failures = [var.experiments_database]
}

run "administrator_of_the_database_only" {
  command = plan
  variables {
    environment          = "dev"
    experiments_database = { admin_groups = { "00000000-0000-0000-0000-000000000009" = "others" } }
  }
  expect_failures = [var.experiments_database]
}
