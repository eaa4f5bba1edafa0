# Properties of the environments, checked on their plans with a mocked provider.

mock_provider "azurerm" {
  source = "./tests/mocks"
}

variables {
  subscription_id = "00000000-0000-0000-0000-000000000001"
  admin_group_ids = ["00000000-0000-0000-0000-000000000002"]
  alert_emails    = { page = ["pager@example.org"], ticket = ["team@example.org"] }
  environment     = "prod"
  location        = "westeurope"
  system_pool     = { vm_size = "Standard_D4ds_v5", min_nodes = 3, max_nodes = 6 }
  general_pool    = { vm_size = "Standard_D8ds_v5", min_nodes = 3, max_nodes = 12 }
  gpu_pools = {
    inference = { purpose = "inference", vm_size = "Standard_NC4as_T4_v3", max_nodes = 4, spot = false }
    training  = { purpose = "training", vm_size = "Standard_NC24ads_A100_v4", max_nodes = 4, spot = true }
  }
  storage_replication = "RAGZRS"
  model_retention     = { days = 3650 }
  monthly_budget      = 5000
}

run "production" {
  command = plan

  # No public access to data.
  assert {
    condition     = !azurerm_storage_account.this.public_network_access_enabled && azurerm_storage_account.this.network_rules[0].default_action == "Deny"
    error_message = "The storage account is reachable from the internet."
  }
  assert {
    condition     = !azurerm_key_vault.this.public_network_access_enabled && !azurerm_container_registry.this.public_network_access_enabled
    error_message = "The vault or the registry is reachable from the internet."
  }
  assert {
    condition     = alltrue([for container in azurerm_storage_container.this : container.container_access_type == "private"])
    error_message = "A container has public read access."
  }
  assert {
    condition     = toset(keys(module.region["primary"].private_endpoints)) == toset(["blob", "blob-secondary", "vault", "registry"])
    error_message = "Storage, its replica, vault and registry need a private endpoint, and nothing else does."
  }

  # No keys.
  assert {
    condition     = !azurerm_storage_account.this.shared_access_key_enabled && !azurerm_storage_account.this.local_user_enabled
    error_message = "The storage account accepts keys."
  }
  assert {
    condition     = !azurerm_container_registry.this.admin_enabled && !azurerm_container_registry.this.anonymous_pull_enabled
    error_message = "The registry accepts a password or anonymous clients."
  }
  assert {
    condition     = azurerm_container_registry_task.build.identity[0].type == "SystemAssigned"
    error_message = "The build task has no identity of its own."
  }
  assert {
    condition     = azurerm_key_vault.this.rbac_authorization_enabled && azurerm_key_vault.this.purge_protection_enabled
    error_message = "The vault uses access policies, or can be purged."
  }
  assert {
    condition     = module.region["primary"].cluster_settings.local_account_disabled && module.region["primary"].cluster_settings.azure_rbac_enabled
    error_message = "The cluster has local accounts, or does not use Azure RBAC."
  }
  assert {
    condition     = !azurerm_dashboard_grafana.this.api_key_enabled && !azurerm_log_analytics_workspace.this.local_authentication_enabled
    error_message = "Grafana or the logs accept keys."
  }

  # Protection against data loss.
  assert {
    condition     = azurerm_storage_account.this.blob_properties[0].versioning_enabled && azurerm_storage_account.this.blob_properties[0].delete_retention_policy[0].days >= 7
    error_message = "A deleted or overwritten blob cannot be restored."
  }
  assert {
    condition     = azurerm_storage_container_immutability_policy.models.immutability_period_in_days == 3650
    error_message = "Registered models can be rewritten."
  }
  # What no service uses yet is off.
  assert {
    condition     = length(azurerm_postgresql_flexible_server.experiments) == 0 && length(azurerm_storage_management_policy.experiments) == 0 && length(azurerm_role_assignment.experiments) == 0 && keys(azurerm_storage_container.this) == ["models", "releases"] && length(azurerm_storage_container.experiments) == 0
    error_message = "Storage of experiments is created although experiments are off."
  }
  assert {
    condition     = azurerm_storage_account.this.network_rules[0].bypass == toset(["None"])
    error_message = "Azure services may bypass the network rules of the storage account."
  }

  # GPU pools cost nothing at rest.
  assert {
    condition     = alltrue([for pool in module.region["primary"].gpu_pools : pool.min_count == 0 && pool.gpu_driver == "Install"])
    error_message = "A GPU pool has a minimum size above 0, or no explicit driver."
  }
  assert {
    condition     = alltrue([for pool in module.region["primary"].gpu_pools : contains(pool.node_taints, "nvidia.com/gpu=present:NoSchedule")])
    error_message = "A GPU node accepts pods that need no GPU."
  }
  assert {
    condition     = module.region["primary"].gpu_pools["training"].priority == "Spot" && module.region["primary"].gpu_pools["inference"].priority == "Regular"
    error_message = "Training must use spot nodes, and inference regular nodes."
  }

  # An identity for each workload. terraform/tests/test_roles.py has the table of their roles.
  assert {
    condition     = alltrue([for name, credential in module.region["primary"].federated_subjects : credential == "system:serviceaccount:${local.workloads[name].namespace}:${local.workloads[name].service_account}"])
    error_message = "An identity is available to another service account."
  }
  assert {
    condition     = toset(keys(local.workloads)) == toset(keys(azurerm_user_assigned_identity.workload))
    error_message = "A workload has no identity, or an identity has no workload."
  }

  # The ranges match the network policies.
  assert {
    condition     = module.region["primary"].ranges == { private_endpoints = "10.40.16.0/24", api_server = "10.40.17.0/28" }
    error_message = "A range differs from kubernetes/overlays."
  }

  # The API server is private unless ranges are set.
  assert {
    condition     = module.region["primary"].cluster_settings.private
    error_message = "The API server is reachable from the internet."
  }

  # Each alert has one action group, by its severity.
  assert {
    condition     = alltrue([for rule in flatten([for group in azurerm_monitor_alert_prometheus_rule_group.this : group.rule]) : length(rule.action) == 1 && rule.severity == local.severities[rule.labels["severity"]] && rule.labels["environment"] == "prod" if rule.alert != null])
    error_message = "An alert has no action group, or the wrong severity or environment."
  }
  assert {
    condition     = alltrue([for group in azurerm_monitor_alert_prometheus_rule_group.this : length(group.rule) <= 20])
    error_message = "A group has more than 20 rules, the limit of Azure."
  }
  assert {
    condition     = length([for rule in azurerm_monitor_alert_prometheus_rule_group.this["thale-slo-alerts"].rule : rule if rule.alert == "ThaleHighErrorRate" && rule.for == "PT2M"]) == 1
    error_message = "The page for failing requests differs from observability/rules."
  }

  # Optional resources are off by default.
  assert {
    condition     = length(azurerm_cdn_frontdoor_profile.this) == 0 && length(azurerm_machine_learning_workspace.this) == 0 && keys(module.region) == ["primary"]
    error_message = "An optional resource is created by default."
  }
  assert {
    condition     = output.facts.entra == null
    error_message = "The facts have an app registration that is not configured."
  }
}

run "names_follow_azures_rules" {
  command = plan
  variables {
    environment = "staging"
  }

  assert {
    condition     = can(regex("^[a-z0-9]{3,24}$", azurerm_storage_account.this.name))
    error_message = "A storage account's name has 3 to 24 lower-case letters and digits."
  }
  assert {
    condition     = can(regex("^[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]$", azurerm_key_vault.this.name))
    error_message = "A vault's name has 3 to 24 letters, digits and hyphens."
  }
  assert {
    condition     = can(regex("^[a-zA-Z0-9]{5,50}$", azurerm_container_registry.this.name))
    error_message = "A registry's name has 5 to 50 letters and digits."
  }
  assert {
    condition     = can(regex("^[a-zA-Z][a-zA-Z0-9-]{0,21}[a-zA-Z0-9]$", azurerm_dashboard_grafana.this.name))
    error_message = "A Grafana name has 2 to 23 letters, digits and hyphens."
  }
}

run "api_server_is_limited_to_ranges" {
  command = plan
  variables {
    api_server_authorized_ip_ranges = ["203.0.113.0/28"]
  }

  assert {
    condition     = !module.region["primary"].cluster_settings.private && module.region["primary"].cluster_settings.authorized_ip_ranges == toset(["203.0.113.0/28"])
    error_message = "The API server accepts other addresses than the configured ranges."
  }
}

run "second_region_behind_the_edge" {
  command = plan
  variables {
    secondary_location = "northeurope"
    edge               = { origin_host = "thale.example.org", requests_a_minute = 600 }
    entra              = { audience = "00000000-0000-0000-0000-00000000000d" }
  }

  assert {
    condition     = output.facts.entra == { tenant_id = "00000000-0000-0000-0000-00000000000a", audience = "00000000-0000-0000-0000-00000000000d" }
    error_message = "The facts lack the tenant or the audience of access tokens."
  }

  assert {
    condition     = toset(keys(module.region)) == toset(["primary", "secondary"]) && azurerm_cdn_frontdoor_origin.region["primary"].priority < azurerm_cdn_frontdoor_origin.region["secondary"].priority
    error_message = "The edge does not prefer the first region with failover to the second."
  }
  assert {
    condition     = azurerm_cdn_frontdoor_firewall_policy.this[0].mode == "Prevention" && length(azurerm_container_registry.this.georeplications) == 1
    error_message = "The firewall does not block, or the second region has no registry replica."
  }
  assert {
    condition     = length([for grant in azurerm_role_assignment.admins_on_clusters : grant if grant.role_definition_name == "Azure Kubernetes Service RBAC Cluster Admin"]) == 2
    error_message = "Administrators do not have access to both clusters."
  }
  assert {
    condition     = one([for rule in azurerm_cdn_frontdoor_firewall_policy.this[0].custom_rule : rule.rate_limit_threshold if rule.type == "RateLimitRule"]) == 600
    error_message = "Clients have no rate limit."
  }
  assert {
    condition     = alltrue([for origin in azurerm_cdn_frontdoor_origin.region : origin.certificate_name_check_enabled && length(origin.private_link) == 1])
    error_message = "The edge reaches a gateway over the internet, or does not check its certificate."
  }
}

run "machine_learning_is_private" {
  command = plan
  variables {
    machine_learning = { vm_size = "Standard_NC24ads_A100_v4", max_nodes = 4 }
  }

  assert {
    condition     = !azurerm_machine_learning_workspace.this[0].public_network_access_enabled && azurerm_machine_learning_compute_cluster.training[0].scale_settings[0].min_node_count == 0
    error_message = "The training workspace is public, or has nodes at rest."
  }
  assert {
    condition     = contains(keys(module.region["primary"].private_endpoints), "ml")
    error_message = "The training workspace has no private endpoint."
  }
  assert {
    condition     = azurerm_key_vault.this.network_acls[0].bypass == "AzureServices" && !azurerm_key_vault.this.public_network_access_enabled
    error_message = "Azure ML cannot reach the vault, or the vault is public."
  }
}

# Removing a group must not touch the assignments of another, so each assignment is addressed by its group.
run "two_groups_of_administrators" {
  command = plan
  variables {
    admin_group_ids = ["00000000-0000-0000-0000-000000000009", "00000000-0000-0000-0000-000000000002"]
  }

  assert {
    condition     = alltrue([for address, grant in merge(azurerm_role_assignment.admins, azurerm_role_assignment.admins_on_clusters, azurerm_role_assignment.runs_commands) : startswith(address, "${grant.principal_id}/")])
    error_message = "The removal of a group would replace assignments of another group."
  }
  assert {
    condition     = length(azurerm_role_assignment.admins) == 6 && length(azurerm_role_assignment.admins_on_clusters) == 4 && length(azurerm_role_assignment.runs_commands) == 2
    error_message = "The groups of administrators do not have the same roles."
  }
}
