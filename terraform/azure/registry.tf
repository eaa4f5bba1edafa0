# The image registry. Only the Premium tier has private endpoints. A task builds and pushes images inside Azure.

resource "azurerm_container_registry" "this" {
  #checkov:skip=CKV_AZURE_164:Azure retires Docker content trust; the overlays name images by digest instead
  #checkov:skip=CKV_AZURE_166:Quarantine blocks each image until a scanner releases it, and there is no scanner yet; Defender scans in prod
  name                          = local.names.registry
  resource_group_name           = azurerm_resource_group.this.name
  location                      = var.location
  sku                           = "Premium"
  data_endpoint_enabled         = true
  admin_enabled                 = false
  anonymous_pull_enabled        = false
  public_network_access_enabled = false
  # Lets the task below, and only tasks with their own identity, bypass the closed network.
  network_rule_bypass_option            = "AzureServices"
  network_rule_bypass_for_tasks_enabled = true
  zone_redundancy_enabled               = true
  retention_policy_in_days              = 30 # for untagged manifests
  tags                                  = local.tags

  dynamic "georeplications" {
    for_each = var.secondary_location == null ? [] : [var.secondary_location]
    content {
      location                        = georeplications.value
      global_endpoint_routing_enabled = true
      zone_redundancy_enabled         = true
      tags                            = local.tags
    }
  }
}

# `az acr build` has no identity, so a closed registry rejects it. A task with an identity is accepted:
# az acr task run --name build --registry REGISTRY --context . --set image=facade:1.0.0 --set dockerfile=services/Dockerfile
resource "azurerm_container_registry_task" "build" {
  name                  = "build"
  container_registry_id = azurerm_container_registry.this.id
  timeout_in_seconds    = 3600
  tags                  = local.tags

  platform {
    os           = "Linux"
    architecture = "amd64"
  }

  encoded_step {
    task_content = base64encode(yamlencode({
      version = "v1.1.0"
      steps = [
        { build = "-t $Registry/{{.Values.image}} -f {{.Values.dockerfile}} ." },
        { push = ["$Registry/{{.Values.image}}"] },
      ]
    }))
  }

  identity {
    type = "SystemAssigned"
  }

  registry_credential {
    # Without this, the task signs in to its own registry as the service does, and the closed registry refuses it.
    source {
      login_mode = "None"
    }
    custom {
      login_server = azurerm_container_registry.this.login_server
      identity     = "[system]"
    }
  }
}

resource "azurerm_role_assignment" "build_pushes_images" {
  scope                = azurerm_container_registry.this.id
  role_definition_name = "AcrPush"
  principal_id         = azurerm_container_registry_task.build.identity[0].principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_monitor_diagnostic_setting" "registry" {
  name                       = "audit"
  target_resource_id         = azurerm_container_registry.this.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  enabled_log {
    category = "ContainerRegistryLoginEvents"
  }
  enabled_log {
    category = "ContainerRegistryRepositoryEvents"
  }
}
