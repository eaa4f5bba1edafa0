# The one role of thale's own. CI may not create roles, so it is created here, and azure/ assigns it by its id.

locals {
  command_role = uuidv5("url", "thale/cluster-commands/${lower(var.subscription_id)}")
}

resource "azurerm_role_definition" "runs_commands" {
  name               = "thale cluster commands ${local.digest}" # unique in the tenant
  role_definition_id = local.command_role
  scope              = local.subscription
  assignable_scopes  = [local.subscription]

  permissions {
    actions = [
      "Microsoft.ContainerService/managedClusters/read",
      "Microsoft.ContainerService/managedClusters/runcommand/action",
      "Microsoft.ContainerService/managedClusters/commandResults/read",
    ]
  }
}
