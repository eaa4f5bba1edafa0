terraform {
  required_version = ">= 1.11"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 5.2, < 6.0"
    }
  }
  # `terraform init` sets the storage account of the state (README, "First run"). The output `init` of bootstrap has the command.
  backend "azurerm" {
    use_azuread_auth = true
  }
}

provider "azurerm" {
  subscription_id                 = var.subscription_id
  resource_provider_registrations = "none" # the applying identity may not register providers; README lists them
  storage_use_azuread             = true
  features {
    key_vault {
      purge_soft_delete_on_destroy = false
    }
    machine_learning {
      # A deleted workspace would reserve its name for 14 days, and the next apply would fail. It holds no data.
      purge_soft_deleted_workspace_on_destroy = true
    }
    resource_group {
      # Azure adds resources of its own, such as recording rules and the action group of Application Insights. They would
      # block the destruction of the group. In prod, deletion_protection has to be off first (README).
      prevent_deletion_if_contains_resources = var.deletion_protection
    }
    storage {
      data_plane_available = false # the account is private: runs outside its network would time out
    }
  }
}

data "azurerm_client_config" "current" {}
