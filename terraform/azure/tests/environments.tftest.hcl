# What matters in every environment, checked on its plan. No cloud: the provider is mocked.

mock_provider "azurerm" {
  mock_data "azurerm_client_config" {
    defaults = { tenant_id = "00000000-0000-0000-0000-00000000000a" }
  }
  mock_resource "azurerm_container_registry_task" {
    defaults = { identity = [{ principal_id = "00000000-0000-0000-0000-00000000000c" }] }
  }
  mock_resource "azurerm_dashboard_grafana" {
    defaults = { identity = [{ principal_id = "00000000-0000-0000-0000-00000000000b" }] }
  }
}

variables {
  subscription_id = "00000000-0000-0000-0000-000000000001"
  admin_group_ids = ["00000000-0000-0000-0000-000000000002"]
  deployer_ids    = ["00000000-0000-0000-0000-000000000003"]
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
  monthly_budget      = 6000
}

run "production" {
  command = plan

  # No public way to data.
  assert {
    condition     = !azurerm_storage_account.this.public_network_access_enabled && azurerm_storage_account.this.network_rules[0].default_action == "Deny"
    error_message = "The storage account can be reached from the internet."
  }
  assert {
    condition     = !azurerm_key_vault.this.public_network_access_enabled && !azurerm_container_registry.this.public_network_access_enabled
    error_message = "The vault or the registry can be reached from the internet."
  }
  assert {
    condition     = alltrue([for container in azurerm_storage_container.this : container.container_access_type == "private"])
    error_message = "A container can be read by anybody."
  }
  assert {
    condition     = toset(keys(module.region["primary"].private_endpoints)) == toset(["blob", "blob-secondary", "queue", "vault", "registry"])
    error_message = "Storage (its copy too), queues, secrets and images are each reached by a private endpoint."
  }

  # No keys.
  assert {
    condition     = !azurerm_storage_account.this.shared_access_key_enabled && !azurerm_storage_account.this.local_user_enabled
    error_message = "The storage account takes keys."
  }
  assert {
    condition     = !azurerm_container_registry.this.admin_enabled && !azurerm_container_registry.this.anonymous_pull_enabled
    error_message = "The registry takes a password or strangers."
  }
  assert {
    condition     = azurerm_container_registry_task.build.identity[0].type == "SystemAssigned" && !contains([for grant in azurerm_role_assignment.deployers : grant.role_definition_name], "AcrPush")
    error_message = "Images are pushed by something else than the build task's own identity."
  }
  assert {
    condition     = azurerm_key_vault.this.rbac_authorization_enabled && azurerm_key_vault.this.purge_protection_enabled
    error_message = "The vault goes by access policies, or can be purged."
  }
  assert {
    condition     = module.region["primary"].cluster_settings.local_account_disabled && module.region["primary"].cluster_settings.azure_rbac_enabled
    error_message = "The cluster has local accounts, or its roles are not Azure's."
  }
  assert {
    condition     = !azurerm_dashboard_grafana.this.api_key_enabled && !azurerm_log_analytics_workspace.this.local_authentication_enabled
    error_message = "Grafana or the logs take keys."
  }

  # Nothing is lost.
  assert {
    condition     = azurerm_storage_account.this.blob_properties[0].versioning_enabled && azurerm_storage_account.this.blob_properties[0].delete_retention_policy[0].days >= 7
    error_message = "A deleted or overwritten blob is gone at once."
  }
  assert {
    condition     = azurerm_storage_container_immutability_policy.models.immutability_period_in_days == 3650
    error_message = "Registered models can be rewritten."
  }
  assert {
    condition     = alltrue([for rule in azurerm_storage_management_policy.this.rule : !contains(flatten([rule.filters[0].prefix_match]), "models/")])
    error_message = "A lifecycle rule touches the models."
  }

  # The deepest tier is one that the redundancy allows.
  assert {
    condition     = azurerm_storage_management_policy.this.rule[0].actions[0].base_blob[0].tier_to_cold_after_days_since_modification_greater_than == 180
    error_message = "Zone-replicated accounts have no archive tier: cold is the deepest."
  }

  # Gpu pools cost nothing at rest.
  assert {
    condition     = alltrue([for pool in module.region["primary"].gpu_pools : pool.min_count == 0 && pool.gpu_driver == "Install"])
    error_message = "A GPU pool keeps nodes, or leaves its driver to chance."
  }
  assert {
    condition     = alltrue([for pool in module.region["primary"].gpu_pools : contains(pool.node_taints, "nvidia.com/gpu=present:NoSchedule")])
    error_message = "A GPU node takes pods that need no GPU."
  }
  assert {
    condition     = module.region["primary"].gpu_pools["training"].priority == "Spot" && module.region["primary"].gpu_pools["inference"].priority == "Regular"
    error_message = "Training belongs on spot nodes, inference on others."
  }

  # Roles are the least that work.
  assert {
    condition     = tomap({ for name, grant in azurerm_role_assignment.workload : name => grant.role_definition_name if startswith(grant.role_definition_name, "Key Vault") }) == tomap({ "facade/secrets" = "Key Vault Secrets User", "release-watcher/secrets" = "Key Vault Reader" })
    error_message = "Somebody else than the facade can read secrets, or the watcher cannot tell when they expire."
  }
  assert {
    condition     = local.workloads["model-server"].roles["models"].role == "Storage Blob Data Reader" && length(local.workloads["model-server"].roles) == 1
    error_message = "The model server can do more than read models."
  }
  assert {
    condition     = length(setintersection([for grant in azurerm_role_assignment.workload : grant.role_definition_name], ["Owner", "Contributor", "User Access Administrator", "Storage Blob Data Owner"])) == 0
    error_message = "A workload has a role that reaches beyond its data."
  }
  assert {
    condition     = alltrue([for name, credential in module.region["primary"].federated_subjects : credential == "system:serviceaccount:${local.workloads[name].namespace}:${local.workloads[name].service_account}"])
    error_message = "An identity can be taken by another service account than its own."
  }
  assert {
    condition     = toset(keys(local.workloads)) == toset(keys(azurerm_user_assigned_identity.workload))
    error_message = "A workload has no identity, or an identity no workload."
  }

  assert {
    condition     = toset([for grant in azurerm_role_assignment.admins : grant.role_definition_name]) == toset(["Azure Kubernetes Service Cluster User Role", "Azure Kubernetes Service RBAC Cluster Admin", "Key Vault Secrets Officer", "Grafana Admin"])
    error_message = "Administrators cannot fetch credentials, enter the cluster, put secrets in or open Grafana; or can do more."
  }

  # Network policies name what the region really has.
  assert {
    condition     = module.region["primary"].ranges == { private_endpoints = "10.40.16.0/24", api_server = "10.40.17.0/28" }
    error_message = "A range is not where kubernetes/overlays expect it."
  }

  # The api server is private unless addresses are named.
  assert {
    condition     = module.region["primary"].cluster_settings.private
    error_message = "The API server can be reached from the internet."
  }

  # Every alert reaches somebody, by its severity and no other way.
  assert {
    condition     = alltrue([for rule in flatten([for group in azurerm_monitor_alert_prometheus_rule_group.this : group.rule]) : length(rule.action) == 1 && rule.severity == local.severities[rule.labels["severity"]] && rule.labels["environment"] == "prod" if rule.alert != null])
    error_message = "An alert is told to nobody, or does not say how grave it is and where."
  }
  assert {
    condition     = alltrue([for group in azurerm_monitor_alert_prometheus_rule_group.this : length(group.rule) <= 20])
    error_message = "Azure takes 20 rules a group."
  }
  assert {
    condition     = length([for rule in azurerm_monitor_alert_prometheus_rule_group.this["thale-slo-alerts"].rule : rule if rule.alert == "ThaleHighErrorRate" && rule.for == "PT2M"]) == 1
    error_message = "The page for failing requests is not the one of observability/rules."
  }

  # Nothing optional is made unasked.
  assert {
    condition     = length(azurerm_cdn_frontdoor_profile.this) == 0 && length(azurerm_machine_learning_workspace.this) == 0 && keys(module.region) == ["primary"]
    error_message = "Something optional is made without having been asked for."
  }
}

run "archive_is_the_deepest_tier_without_zones" {
  command = plan
  variables {
    environment         = "dev"
    storage_replication = "LRS"
  }

  assert {
    condition     = azurerm_storage_management_policy.this.rule[0].actions[0].base_blob[0].tier_to_archive_after_days_since_modification_greater_than == 180
    error_message = "Photographs never reach the archive."
  }
}

run "names_keep_azures_rules" {
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
    error_message = "A Grafana's name has 2 to 23 letters, digits and hyphens."
  }
}

run "named_addresses_alone_reach_the_api_server" {
  command = plan
  variables {
    api_server_authorized_ip_ranges = ["203.0.113.0/28"]
  }

  assert {
    condition     = !module.region["primary"].cluster_settings.private && module.region["primary"].cluster_settings.authorized_ip_ranges == toset(["203.0.113.0/28"])
    error_message = "The API server answers other addresses than those named."
  }
}

run "the_second_region_is_a_twin_behind_the_edge" {
  command = plan
  variables {
    secondary_location = "northeurope"
    edge               = { origin_host = "thale.example.org", requests_a_minute = 600 }
  }

  assert {
    condition     = toset(keys(module.region)) == toset(["primary", "secondary"]) && azurerm_cdn_frontdoor_origin.region["primary"].priority < azurerm_cdn_frontdoor_origin.region["secondary"].priority
    error_message = "The edge does not prefer the first region and fail over to the second."
  }
  assert {
    condition     = azurerm_cdn_frontdoor_firewall_policy.this[0].mode == "Prevention" && length(azurerm_container_registry.this.georeplications) == 1
    error_message = "The firewall only watches, or the second region pulls images across the sea."
  }
  assert {
    condition     = length([for grant in azurerm_role_assignment.admins : grant if grant.role_definition_name == "Azure Kubernetes Service RBAC Cluster Admin"]) == 2
    error_message = "The administrators cannot enter both clusters."
  }
  assert {
    condition     = one([for rule in azurerm_cdn_frontdoor_firewall_policy.this[0].custom_rule : rule.rate_limit_threshold if rule.type == "RateLimitRule"]) == 600
    error_message = "One client may ask without limit."
  }
  assert {
    condition     = alltrue([for origin in azurerm_cdn_frontdoor_origin.region : origin.certificate_name_check_enabled && length(origin.private_link) == 1])
    error_message = "The edge reaches a gateway over the internet, or any gateway that answers."
  }
}

run "training_at_scale_is_private_too" {
  command = plan
  variables {
    machine_learning = { vm_size = "Standard_NC24ads_A100_v4", max_nodes = 4 }
  }

  assert {
    condition     = !azurerm_machine_learning_workspace.this[0].public_network_access_enabled && azurerm_machine_learning_compute_cluster.training[0].scale_settings[0].min_node_count == 0
    error_message = "The training workspace is public, or keeps nodes at rest."
  }
  assert {
    condition     = contains(keys(module.region["primary"].private_endpoints), "ml")
    error_message = "The training workspace has no private endpoint."
  }
  assert {
    condition     = azurerm_key_vault.this.network_acls[0].bypass == "AzureServices" && !azurerm_key_vault.this.public_network_access_enabled
    error_message = "Azure ML cannot reach the vault, or everybody can."
  }
}
