# Values that Azure computes, the same for all tests.
mock_data "azurerm_client_config" {
  defaults = { tenant_id = "00000000-0000-0000-0000-00000000000a" }
}
mock_resource "azurerm_container_registry_task" {
  defaults = { identity = [{ principal_id = "00000000-0000-0000-0000-00000000000c" }] }
}
mock_resource "azurerm_dashboard_grafana" {
  defaults = { identity = [{ principal_id = "00000000-0000-0000-0000-00000000000b" }] }
}
