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
    storage {
      data_plane_available = false # the account is private: runs outside its network would time out
    }
  }
}

data "azurerm_client_config" "current" {}
