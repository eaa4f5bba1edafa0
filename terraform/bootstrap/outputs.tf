output "init" {
  description = "Command that initialises azure/ with the state of an environment, by environment."
  value = {
    for environment in var.environments : environment => join(" ", [
      "terraform -chdir=terraform/azure init -reconfigure",
      "-backend-config=resource_group_name=${azurerm_resource_group.this.name}",
      "-backend-config=storage_account_name=${azurerm_storage_account.state.name}",
      "-backend-config=container_name=${environment}",
      "-backend-config=key=thale.tfstate",
    ])
  }
}

output "ci" {
  description = "Client, object and tenant ids of CI's identities, for the variables of GitHub's environments."
  value = {
    for environment, identity in azurerm_user_assigned_identity.ci : environment => {
      client_id = identity.client_id
      object_id = identity.principal_id
      tenant_id = identity.tenant_id
    }
  }
}
