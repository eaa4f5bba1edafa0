# Identities and roles. Each workload has its own identity, which pods use through their service account, without secrets.
# terraform/tests/test_roles.py has the complete table of principals, roles and scopes. CI has no role here: bootstrap/ci.tf.

locals {
  # Tenant and audience of the access tokens that the facade accepts.
  entra = var.entra == null ? null : {
    tenant_id = coalesce(var.entra.tenant_id, data.azurerm_client_config.current.tenant_id)
    audience  = var.entra.audience
  }

  # Short names of the scopes below. Each is the narrowest that Azure offers: secrets have no narrower scope than their vault.
  scopes = {
    models   = azurerm_storage_container.this["models"].id
    releases = azurerm_storage_container.this["releases"].id
    secrets  = azurerm_key_vault.this.id
    metrics  = azurerm_monitor_workspace.this.id
    grafana  = azurerm_dashboard_grafana.this.id
  }

  # The roles of each workload, by scope.
  workloads = {
    facade = {
      namespace       = "thale"
      service_account = "facade"
      roles           = { secrets = "Key Vault Secrets User" } # API keys
    }
    model-server = {
      namespace       = "thale"
      service_account = "model-server"
      roles           = { models = "Storage Blob Data Reader" }
    }
    release-watcher = {
      namespace       = "thale"
      service_account = "release-watcher"
      roles = {
        models   = "Storage Blob Data Reader"
        releases = "Storage Blob Data Contributor" # copies of the release state
        secrets  = "Key Vault Reader"              # expiry dates, not the values
      }
    }
    trainer = {
      namespace       = "thale-training"
      service_account = "trainer"
      roles           = { models = "Storage Blob Data Contributor" } # registers models: a Job of `make deploy` runs as it
    }
    keda = {
      namespace       = "kube-system"
      service_account = "keda-operator"
      roles           = { metrics = "Monitoring Data Reader" }
    }
  }

  grants = merge([
    for workload, settings in local.workloads : {
      for scope, role in settings.roles : "${workload}/${scope}" => { workload = workload, role = role, scope = scope }
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
  scope                = local.scopes[each.value.scope]
  role_definition_name = each.value.role
  principal_id         = azurerm_user_assigned_identity.workload[each.value.workload].principal_id
  principal_type       = "ServicePrincipal"
}

# People have roles only as members of the administrators' groups.
locals {
  # Only administrators write secrets. They register models by hand, as the trainer's Job does in a deploy.
  admin_roles = {
    secrets = "Key Vault Secrets Officer"
    models  = "Storage Blob Data Contributor"
    grafana = "Grafana Admin"
  }

  # On each cluster: one role fetches credentials, the other is for Kubernetes' API.
  admin_cluster_roles = {
    credentials = "Azure Kubernetes Service Cluster User Role"
    objects     = "Azure Kubernetes Service RBAC Cluster Admin"
  }
}

resource "azurerm_role_assignment" "admins" {
  for_each = {
    for pair in setproduct(var.admin_group_ids, keys(local.admin_roles)) : join("/", pair) => { group = pair[0], scope = pair[1] }
  }
  scope                = local.scopes[each.value.scope]
  role_definition_name = local.admin_roles[each.value.scope]
  principal_id         = each.value.group
  principal_type       = "Group"
}

resource "azurerm_role_assignment" "admins_on_clusters" {
  for_each = {
    for each in setproduct(var.admin_group_ids, keys(local.locations), keys(local.admin_cluster_roles)) :
    join("/", each) => { group = each[0], region = each[1], purpose = each[2] }
  }
  scope                = module.region[each.value.region].cluster_id
  role_definition_name = local.admin_cluster_roles[each.value.purpose]
  principal_id         = each.value.group
  principal_type       = "Group"
}
