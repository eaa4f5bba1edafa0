# CI signs in by OpenID Connect, with GitHub's token for one environment of one repository. There is no secret.

locals {
  subscription = "/subscriptions/${var.subscription_id}"

  # The roles that azure/ assigns to identities of Azure resources, by their fixed ids.
  workload_roles = {
    "AcrPull"                       = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
    "AcrPush"                       = "8311e382-0749-4cb8-b61a-304f252e45ec"
    "Key Vault Reader"              = "21090545-7ca7-4776-b22c-e363652d74d2"
    "Key Vault Secrets User"        = "4633458b-17de-408a-b874-0445c86b69e6"
    "Log Analytics Reader"          = "73c42c96-874c-492b-b04d-ab87d138a893"
    "Managed Identity Operator"     = "f1a07417-d97a-45cb-824c-7a7467783830"
    "Monitoring Data Reader"        = "b0d8363b-8ddd-447d-831f-62ca05bff136"
    "Network Contributor"           = "4d97b98b-1d4f-4787-a291-c67834d212e7"
    "Storage Blob Data Contributor" = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
    "Storage Blob Data Reader"      = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
  }

  # The roles that azure/ assigns to the administrators' groups, in addition to the role of roles.tf.
  admin_roles = {
    "Azure Kubernetes Service Cluster User Role"  = "4abbcc35-e782-43d8-92c5-2d3f1bd2253f"
    "Azure Kubernetes Service RBAC Cluster Admin" = "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b"
    "Grafana Admin"                               = "22926164-76b3-42b3-bc55-97df8dab3e41"
    "Key Vault Secrets Officer"                   = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
    "Storage Blob Data Contributor"               = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
  }

  workload_role_ids = join(", ", values(local.workload_roles))
  admin_role_ids    = join(", ", concat(values(local.admin_roles), [local.command_role]))
  admin_group_ids   = join(", ", var.admin_group_ids)
  ci_ids            = join(", ", [for identity in azurerm_user_assigned_identity.ci : identity.principal_id])
}

resource "azurerm_user_assigned_identity" "ci" {
  for_each            = var.environments
  name                = "id-thale-ci-${each.value}"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = local.tags
}

resource "azurerm_federated_identity_credential" "ci" {
  for_each                  = var.environments
  name                      = "github-${each.value}"
  user_assigned_identity_id = azurerm_user_assigned_identity.ci[each.value].id
  issuer                    = "https://token.actions.githubusercontent.com"
  subject                   = "repo:${var.repository}:environment:${each.value}"
  audience                  = ["api://AzureADTokenExchange"]
}

resource "azurerm_role_assignment" "ci_creates" {
  for_each             = var.environments
  scope                = local.subscription
  role_definition_name = "Contributor"
  principal_id         = azurerm_user_assigned_identity.ci[each.value].principal_id
  principal_type       = "ServicePrincipal"
}

# CI installs the add-ons, which have cluster-wide objects. The assignment is here because CI may not assign itself a role.
resource "azurerm_role_assignment" "ci_deploys" {
  for_each             = var.environments
  scope                = local.subscription
  role_definition_name = "Azure Kubernetes Service RBAC Cluster Admin"
  principal_id         = azurerm_user_assigned_identity.ci[each.value].principal_id
  principal_type       = "ServicePrincipal"
}

# CI assigns the roles of azure/, and no others: the first list to identities other than CI's, the second to the
# administrators' groups. It may remove the second from any group, so that a removed group loses its roles. The
# quantifier ForAnyOfAllValues excludes each id; ForAnyOfAnyValues:GuidNotEquals would be true for any list of two.
resource "azurerm_role_assignment" "ci_assigns_known_roles" {
  for_each             = var.environments
  scope                = local.subscription
  role_definition_name = "Role Based Access Control Administrator"
  principal_id         = azurerm_user_assigned_identity.ci[each.value].principal_id
  principal_type       = "ServicePrincipal"
  condition_version    = "2.0"
  condition            = <<-EOT
    (
      !(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})
      OR
      (
        @Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {${local.workload_role_ids}}
        AND @Request[Microsoft.Authorization/roleAssignments:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {'ServicePrincipal'}
        AND @Request[Microsoft.Authorization/roleAssignments:PrincipalId] ForAnyOfAllValues:GuidNotEquals {${local.ci_ids}}
      )
      OR
      (
        @Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {${local.admin_role_ids}}
        AND @Request[Microsoft.Authorization/roleAssignments:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {'Group'}
        AND @Request[Microsoft.Authorization/roleAssignments:PrincipalId] ForAnyOfAnyValues:GuidEquals {${local.admin_group_ids}}
      )
    )
    AND
    (
      !(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})
      OR
      (
        @Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {${local.workload_role_ids}}
        AND @Resource[Microsoft.Authorization/roleAssignments:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {'ServicePrincipal'}
        AND @Resource[Microsoft.Authorization/roleAssignments:PrincipalId] ForAnyOfAllValues:GuidNotEquals {${local.ci_ids}}
      )
      OR
      (
        @Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {${local.admin_role_ids}}
        AND @Resource[Microsoft.Authorization/roleAssignments:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {'Group'}
      )
    )
  EOT
}

resource "azurerm_role_assignment" "ci_keeps_state" {
  for_each             = var.environments
  scope                = azurerm_storage_container.state[each.value].id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = azurerm_user_assigned_identity.ci[each.value].principal_id
  principal_type       = "ServicePrincipal"
}
