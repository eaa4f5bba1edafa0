# The condition of CI's role with known ids. terraform/tests/test_ci_condition.py evaluates the condition of this plan.

mock_provider "azurerm" {
  override_resource {
    target          = azurerm_user_assigned_identity.ci["dev"]
    override_during = plan
    values          = { principal_id = "00000000-0000-0000-0000-0000000000d1" }
  }
  override_resource {
    target          = azurerm_user_assigned_identity.ci["staging"]
    override_during = plan
    values          = { principal_id = "00000000-0000-0000-0000-0000000000d2" }
  }
}

variables {
  subscription_id      = "00000000-0000-0000-0000-000000000001"
  location             = "westeurope"
  repository           = "plants/thale"
  state_admin_group_id = "00000000-0000-0000-0000-000000000002"
  admin_group_ids      = ["00000000-0000-0000-0000-0000000000a1"]
  environments         = ["dev", "staging"]
}

run "condition_of_ci" {
  command = plan

  assert {
    condition     = alltrue([for grant in azurerm_role_assignment.ci_assigns_known_roles : grant.condition_version == "2.0" && length(regexall("ForAnyOfAllValues:GuidNotEquals \\{00000000-0000-0000-0000-0000000000d1, 00000000-0000-0000-0000-0000000000d2\\}", grant.condition)) == 2])
    error_message = "The condition does not exclude the identities of CI."
  }
}
