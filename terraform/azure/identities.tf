# Identities and roles. Each workload has its own identity, which pods use through their service account, without secrets.

locals {
  # Tenant and audience of the access tokens that the facade accepts.
  entra = var.entra == null ? null : {
    tenant_id = coalesce(var.entra.tenant_id, data.azurerm_client_config.current.tenant_id)
    audience  = var.entra.audience
  }

  containers = { for name, container in azurerm_storage_container.this : name => container.id }

  workloads = {
    facade = {
      namespace       = "thale"
      service_account = "facade"
      roles = {
        images  = { role = "Storage Blob Data Contributor", scope = local.containers["images"] }
        results = { role = "Storage Blob Data Contributor", scope = local.containers["results"] }
        jobs    = { role = "Storage Queue Data Contributor", scope = azurerm_storage_queue.this["jobs"].id }
        refused = { role = "Storage Queue Data Message Sender", scope = azurerm_storage_queue.this["jobs-refused"].id }
        secrets = { role = "Key Vault Secrets User", scope = azurerm_key_vault.this.id } # API keys; one secret for each, so no narrower scope
      }
    }
    model-server = {
      namespace       = "thale"
      service_account = "model-server"
      roles           = { models = { role = "Storage Blob Data Reader", scope = local.containers["models"] } }
    }
    release-watcher = {
      namespace       = "thale"
      service_account = "release-watcher"
      roles = {
        models  = { role = "Storage Blob Data Reader", scope = local.containers["models"] }
        secrets = { role = "Key Vault Reader", scope = azurerm_key_vault.this.id } # expiry dates, not the values
      }
    }
    trainer = {
      namespace       = "thale-training"
      service_account = "trainer"
      roles = {
        images = { role = "Storage Blob Data Reader", scope = local.containers["images"] }
        models = { role = "Storage Blob Data Contributor", scope = local.containers["models"] }
      }
    }
    keda = {
      namespace       = "kube-system"
      service_account = "keda-operator"
      roles = {
        jobs    = { role = "Storage Queue Data Reader", scope = azurerm_storage_queue.this["jobs"].id }
        metrics = { role = "Monitoring Data Reader", scope = azurerm_monitor_workspace.this.id }
      }
    }
  }

  grants = merge([
    for workload, settings in local.workloads : {
      for target, grant in settings.roles : "${workload}/${target}" => merge(grant, { workload = workload })
    }
  ]...)
}

resource "azurerm_user_assigned_identity" "workload" {
  for_each            = toset(["facade", "model-server", "release-watcher", "trainer", "keda"])
  name                = "id-${local.name}-${each.value}"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = local.tags
}

resource "azurerm_role_assignment" "workload" {
  for_each             = local.grants
  scope                = each.value.scope
  role_definition_name = each.value.role
  principal_id         = azurerm_user_assigned_identity.workload[each.value.workload].principal_id
  principal_type       = "ServicePrincipal"
}

# Administrators and CI have the same two roles on the clusters: one fetches credentials, the other is for Kubernetes' API.
locals {
  cluster_roles = merge([
    for name, region in module.region : {
      "${name}/credentials" = { role = "Azure Kubernetes Service Cluster User Role", scope = region.cluster_id }
      "${name}/objects"     = { role = "Azure Kubernetes Service RBAC Cluster Admin", scope = region.cluster_id }
    }
  ]...)

  # Only administrators write secrets.
  admin_roles = merge(local.cluster_roles, {
    secrets = { role = "Key Vault Secrets Officer", scope = azurerm_key_vault.this.id }
    grafana = { role = "Grafana Admin", scope = azurerm_dashboard_grafana.this.id }
  })

  # CI installs the add-ons (cluster-wide objects), builds images and registers models.
  deployer_roles = merge(local.cluster_roles, {
    images = { role = "Container Registry Tasks Contributor", scope = azurerm_container_registry.this.id }
    models = { role = "Storage Blob Data Contributor", scope = local.containers["models"] }
  })
}

resource "azurerm_role_assignment" "admins" {
  for_each = {
    for pair in setproduct(var.admin_group_ids, keys(local.admin_roles)) : join("/", pair) => {
      group = pair[0], grant = local.admin_roles[pair[1]]
    }
  }
  scope                = each.value.grant.scope
  role_definition_name = each.value.grant.role
  principal_id         = each.value.group
  principal_type       = "Group"
}

resource "azurerm_role_assignment" "deployers" {
  for_each = {
    for pair in setproduct(var.deployer_ids, keys(local.deployer_roles)) : join("/", pair) => {
      principal = pair[0], grant = local.deployer_roles[pair[1]]
    }
  }
  scope                = each.value.grant.scope
  role_definition_name = each.value.grant.role
  principal_id         = each.value.principal
  principal_type       = "ServicePrincipal"
}
