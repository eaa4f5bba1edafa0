# Settings that show only in use: lifecycle rules, image builds, system nodes, TLS at the edge, destruction.

mock_provider "azurerm" {
  source = "./tests/mocks"
}

variables {
  subscription_id     = "00000000-0000-0000-0000-000000000001"
  admin_group_ids     = ["00000000-0000-0000-0000-000000000002"]
  alert_emails        = { page = ["pager@example.org"], ticket = ["team@example.org"] }
  environment         = "staging"
  location            = "westeurope"
  system_pool         = { vm_size = "Standard_D4ds_v5", min_nodes = 2, max_nodes = 3 }
  general_pool        = { vm_size = "Standard_D4ds_v5", min_nodes = 2, max_nodes = 6 }
  storage_replication = "ZRS"
  model_retention     = { days = 30 }
  monthly_budget      = 2000
}

run "trusted_services_run_lifecycle_rules_and_builds" {
  command = plan
  variables {
    experiments_enabled = true # only they have lifecycle rules
    experiments_database = {
      sku_name             = "GP_Standard_D2ds_v5"
      zone_redundant       = true
      backup_days          = 30
      geo_redundant_backup = true
      admin_groups         = { "00000000-0000-0000-0000-000000000002" = "thale administrators" }
    }
  }

  assert {
    condition     = azurerm_storage_account.this.network_rules[0].bypass == toset(["AzureServices"]) && azurerm_storage_account.this.network_rules[0].default_action == "Deny"
    error_message = "The firewall blocks the account's own lifecycle rules, or is open."
  }
  assert {
    condition     = azurerm_key_vault.this.network_acls[0].bypass == "None"
    error_message = "An Azure service reaches the vault, although nothing here needs it."
  }
  assert {
    condition     = azurerm_container_registry_task.build.registry_credential[0].source[0].login_mode == "None" && one(azurerm_container_registry_task.build.registry_credential[0].custom).identity == "[system]"
    error_message = "The build signs in other than with its identity, and the closed registry refuses it."
  }
}

run "logs_have_a_daily_cap" {
  command = plan

  assert {
    condition     = azurerm_log_analytics_workspace.this.daily_quota_gb == 10
    error_message = "The cost of logs has no bound."
  }
  assert {
    condition     = strcontains(azurerm_monitor_scheduled_query_rules_alert_v2.log_cap.criteria[0].query, "_LogOperation") && strcontains(azurerm_monitor_scheduled_query_rules_alert_v2.log_cap.criteria[0].query, "OverQuota") && azurerm_monitor_scheduled_query_rules_alert_v2.log_cap.criteria[0].threshold == 0 && azurerm_monitor_scheduled_query_rules_alert_v2.log_cap.severity == 3 && length(azurerm_monitor_scheduled_query_rules_alert_v2.log_cap.action) == 1
    error_message = "Logs that the cap drops open no ticket."
  }
}

run "edge_of_its_own_name_has_strong_tls_and_the_firewall" {
  command = plan
  variables {
    edge  = { origin_host = "thale.example.org", requests_a_minute = 600, host_name = "plates.example.org" }
    entra = { audience = "00000000-0000-0000-0000-00000000000d" }
  }

  assert {
    condition     = azurerm_cdn_frontdoor_custom_domain.this["this"].tls[0].minimum_version == "TLS12" && azurerm_cdn_frontdoor_custom_domain.this["this"].tls[0].cipher_suite[0].type == "TLS12_2023"
    error_message = "The edge offers weaker suites than Azure's newest set."
  }
  assert {
    condition     = length(azurerm_cdn_frontdoor_security_policy.this[0].security_policies[0].firewall[0].association[0].domain) == 2
    error_message = "The firewall does not cover both host names."
  }
  assert {
    condition     = !azurerm_cdn_frontdoor_route.this[0].link_to_default_domain && output.facts.edge_host == "plates.example.org"
    error_message = "Clients are served, or sent, under the default host name."
  }
}

run "edge_uses_the_default_name_without_one" {
  command = plan
  variables {
    edge  = { origin_host = "thale.example.org", requests_a_minute = 600 }
    entra = { audience = "00000000-0000-0000-0000-00000000000d" }
  }

  assert {
    condition     = length(azurerm_cdn_frontdoor_custom_domain.this) == 0 && azurerm_cdn_frontdoor_route.this[0].link_to_default_domain
    error_message = "The edge has no host name."
  }
}

run "second_region_is_watched_by_itself" {
  command = plan
  variables {
    secondary_location = "northeurope"
    edge               = { origin_host = "thale.example.org", requests_a_minute = 600 }
    entra              = { audience = "00000000-0000-0000-0000-00000000000d" }
  }

  assert {
    condition     = length(regexall("cluster=\"aks-thale-staging-(westeurope|northeurope)\"", one([for rule in azurerm_monitor_alert_prometheus_rule_group.this["thale-telemetry-alerts"].rule : rule.expression if rule.alert == "ThaleFacadeDown"]))) == 2
    error_message = "The loss of one of two clusters does not page."
  }
}

run "system_pool_of_one_node" {
  command = plan
  variables {
    system_pool = { vm_size = "Standard_D4ds_v5", min_nodes = 1, max_nodes = 3 }
  }
  expect_failures = [var.system_pool]
}

run "system_pool_of_two_cores" {
  command = plan
  variables {
    system_pool = { vm_size = "Standard_D2ds_v5", min_nodes = 2, max_nodes = 3 }
  }
  expect_failures = [var.system_pool]
}

run "system_pool_of_burstable_nodes" {
  command = plan
  variables {
    system_pool = { vm_size = "Standard_B4ms", min_nodes = 2, max_nodes = 3 }
  }
  expect_failures = [var.system_pool]
}

run "logs_without_a_cap" {
  command = plan
  variables {
    log_daily_quota_gb = -1
  }
  expect_failures = [var.log_daily_quota_gb]
}

run "alerts_link_to_the_runbooks_of_the_fork" {
  command = plan
  variables {
    runbooks_url = "https://git.example.org/thale/runbooks.md"
  }
  assert {
    condition     = one([for rule in azurerm_monitor_alert_prometheus_rule_group.this["thale-telemetry-alerts"].rule : rule.annotations.runbook_url if rule.alert == "ThaleFacadeDown"]) == "https://git.example.org/thale/runbooks.md#thalefacadedown"
    error_message = "An alert links to the placeholder."
  }
  assert {
    condition     = azurerm_monitor_scheduled_query_rules_alert_v2.log_cap.action[0].custom_properties.runbook_url == "https://git.example.org/thale/runbooks.md#thalelogcapreached"
    error_message = "The alert of the log cap has no runbook."
  }
}

run "runbooks_url_with_an_anchor" {
  command = plan
  variables {
    runbooks_url = "https://git.example.org/runbooks.md#x"
  }
  expect_failures = [var.runbooks_url]
}
