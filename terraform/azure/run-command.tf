# The right to run `az aks command invoke`, the way to a private API server for administrators without admin_access. No
# built-in role has just this: the nearest lacks the right to read results, and fetches admin credentials.

locals {
  # Created by bootstrap/roles.tf under this id, because CI may not create roles.
  command_role_id = "/subscriptions/${var.subscription_id}/providers/Microsoft.Authorization/roleDefinitions/${uuidv5("url", "thale/cluster-commands/${lower(var.subscription_id)}")}"
}

# CI has the right as a Contributor of the subscription.
resource "azurerm_role_assignment" "runs_commands" {
  for_each = length(var.api_server_authorized_ip_ranges) > 0 ? {} : {
    for pair in setproduct(var.admin_group_ids, keys(local.locations)) : join("/", pair) => { group = pair[0], region = pair[1] }
  }
  scope              = module.region[each.value.region].cluster_id
  role_definition_id = local.command_role_id
  principal_id       = each.value.group
  principal_type     = "Group"
}
