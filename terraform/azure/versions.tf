terraform {
  required_version = ">= 1.11"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 5.2, < 6.0"
    }
  }
  # Which storage account holds the state is told at `terraform init` (README, "First run"): bootstrap prints the line.
  backend "azurerm" {
    use_azuread_auth = true
  }
}

provider "azurerm" {
  subscription_id                 = var.subscription_id
  resource_provider_registrations = "none" # the identity that applies may not register; README lists the providers
  storage_use_azuread             = true
  features {
    key_vault {
      purge_soft_delete_on_destroy = false
    }
    storage {
      data_plane_available = false # the account is private: a run outside its network would wait for it in vain
    }
  }
}

data "azurerm_client_config" "current" {}
