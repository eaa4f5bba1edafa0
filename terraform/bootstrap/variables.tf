variable "subscription_id" {
  type        = string
  description = "Azure subscription of the state and of CI's identities."
  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", lower(var.subscription_id)))
    error_message = "subscription_id must be a UUID, as `az account show --query id` prints it."
  }
}

variable "location" {
  type        = string
  description = "Azure region of the state."
}

variable "repository" {
  type        = string
  description = "GitHub repository whose workflows may sign in, as owner/name."
  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository must be owner/name."
  }
}

variable "environments" {
  type        = set(string)
  default     = ["dev", "staging", "prod"]
  description = "GitHub environments, each with an identity. GitHub's settings define the approvers of each."
}

variable "state_admin_group_id" {
  type        = string
  description = "Object id of the Entra group whose members may read and repair the state manually."
}

variable "admin_group_ids" {
  type        = list(string)
  description = "Object ids of the Entra groups to which CI may assign the administrators' roles: `admin_group_ids` of azure/, of all environments of the subscription."
  validation {
    condition     = length(var.admin_group_ids) > 0
    error_message = "admin_group_ids must have at least one group: without it, CI cannot apply azure/."
  }
  validation {
    condition     = alltrue([for id in var.admin_group_ids : can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", lower(id)))])
    error_message = "admin_group_ids must be object ids, as `az ad group show --query id` prints them."
  }
}
