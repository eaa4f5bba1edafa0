# Storage of Terraform's state: versioned, without keys, one container for each environment. CI is Contributor of the
# subscription, so it could sign in as another environment's CI: prod needs its own subscription (README).

locals {
  digest = substr(sha256("${var.subscription_id}/thale-state"), 0, 6)
  tags   = { project = "thale", environment = "shared" }
}

resource "azurerm_resource_group" "this" {
  name     = "rg-thale-bootstrap"
  location = var.location
  tags     = local.tags
}

resource "azurerm_storage_account" "state" {
  #checkov:skip=CKV_AZURE_59:GitHub's runners reach the state over the internet, with Entra identities only
  #checkov:skip=CKV2_AZURE_33:As above: with a private endpoint only, CI would have no access
  #checkov:skip=CKV_AZURE_33:The account has no queues
  #checkov:skip=CKV2_AZURE_1:Azure's keys with infrastructure encryption
  name                              = "stthalestate${local.digest}"
  resource_group_name               = azurerm_resource_group.this.name
  location                          = var.location
  account_kind                      = "StorageV2"
  account_tier                      = "Standard"
  account_replication_type          = "GRS"
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  allow_nested_items_to_be_public   = false
  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  local_user_enabled                = false
  cross_tenant_replication_enabled  = false
  infrastructure_encryption_enabled = true
  # GitHub's runners are outside the network: they reach the state over the internet, with Entra identities only.
  public_network_access_enabled = true
  tags                          = local.tags

  blob_properties {
    versioning_enabled = true
    delete_retention_policy {
      days = 90
    }
    container_delete_retention_policy {
      days = 90
    }
  }

  lifecycle {
    prevent_destroy = true # instead of a management lock: docs/adr/0095-no-management-locks.md
  }
}

resource "azurerm_storage_container" "state" {
  #checkov:skip=CKV2_AZURE_21:Versions record each change, and only CI reads
  for_each              = var.environments
  name                  = each.value
  storage_account_id    = azurerm_storage_account.state.id
  container_access_type = "private"

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_role_assignment" "people" {
  scope                = azurerm_storage_account.state.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = var.state_admin_group_id
  principal_type       = "Group"
}
