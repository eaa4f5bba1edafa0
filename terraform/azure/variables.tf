variable "subscription_id" {
  type        = string
  description = "Azure subscription that everything is created in."
  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", lower(var.subscription_id)))
    error_message = "subscription_id must be a UUID, as `az account show --query id` prints it."
  }
}

variable "environment" {
  type        = string
  description = "Name of the environment; part of every name."
  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "environment must be dev, staging or prod."
  }
}

variable "location" {
  type        = string
  description = "Azure region, in Azure's short form, such as westeurope."
  validation {
    condition     = can(regex("^[a-z]+[a-z0-9]*$", var.location))
    error_message = "location must be a region's short name, such as westeurope (`az account list-locations`)."
  }
}

variable "secondary_location" {
  type        = string
  default     = null
  description = "A second region with a cluster of its own, to which the edge fails over. null: one region."
  validation {
    condition     = var.secondary_location == null || can(regex("^[a-z]+[a-z0-9]*$", var.secondary_location))
    error_message = "secondary_location must be a region's short name or null."
  }
  validation {
    condition     = var.secondary_location != var.location
    error_message = "secondary_location must be another region than location."
  }
  validation {
    condition     = var.secondary_location == null || var.edge != null
    error_message = "A second region is of use only behind an edge that fails over to it: set edge as well."
  }
}

variable "address_spaces" {
  type        = list(string)
  default     = ["10.40.0.0/16", "10.41.0.0/16"]
  description = "Virtual networks' ranges: the first region's, then the second's. /16 each."
  validation {
    condition     = length(var.address_spaces) == 2 && length(distinct(var.address_spaces)) == 2
    error_message = "address_spaces must be two different ranges."
  }
  validation {
    condition     = length(setintersection(var.address_spaces, ["10.0.0.0/16", "10.244.0.0/16"])) == 0
    error_message = "address_spaces must leave 10.0.0.0/16 and 10.244.0.0/16 alone: services and pods have their addresses there."
  }
}

variable "kubernetes_version" {
  type        = string
  default     = "1.35"
  description = "Minor version; the patch channel chooses the patch."
  validation {
    condition     = can(regex("^1\\.(3[2-9]|[4-9][0-9])$", var.kubernetes_version))
    error_message = "kubernetes_version must be a minor version from 1.32 on, such as 1.35: KServe 0.21 needs it."
  }
}

variable "sku_tier" {
  type        = string
  default     = "Standard"
  description = "AKS tier. Standard gives the API server an SLA; Free has none; Premium adds long-term support."
  validation {
    condition     = contains(["Free", "Standard", "Premium"], var.sku_tier)
    error_message = "sku_tier must be Free, Standard or Premium."
  }
  validation {
    condition     = var.environment != "prod" || var.sku_tier != "Free"
    error_message = "prod needs an API server with an SLA: Standard or Premium."
  }
}

variable "api_server_authorized_ip_ranges" {
  type        = list(string)
  default     = []
  description = "Addresses that may reach the API server. Empty makes it private: reachable from the network alone."
  validation {
    condition     = alltrue([for range in var.api_server_authorized_ip_ranges : can(cidrhost(range, 0)) && !startswith(range, "0.0.0.0/")])
    error_message = "api_server_authorized_ip_ranges must be CIDR ranges, and not the whole internet."
  }
}

variable "admin_group_ids" {
  type        = list(string)
  description = "Object ids of the Entra groups whose members administer the clusters, the secrets and Grafana."
  validation {
    condition     = length(var.admin_group_ids) > 0
    error_message = "admin_group_ids must name a group at least: local accounts are off, and nobody else could get in."
  }
  validation {
    condition     = alltrue([for id in var.admin_group_ids : can(regex("^[0-9a-f-]{36}$", lower(id)))])
    error_message = "admin_group_ids must be object ids, as `az ad group show --query id` prints them."
  }
}

variable "deployer_ids" {
  type        = list(string)
  default     = []
  description = "Object ids of the identities that run `make deploy` and `thale release register`: CI's, printed by bootstrap."
  validation {
    condition     = alltrue([for id in var.deployer_ids : can(regex("^[0-9a-f-]{36}$", lower(id)))])
    error_message = "deployer_ids must be object ids, as `terraform -chdir=terraform/bootstrap output ci` prints them."
  }
}

variable "defender" {
  type        = bool
  default     = false
  description = "Microsoft Defender for Containers on the clusters; billed by core."
}

variable "zones" {
  type        = list(string)
  default     = ["1", "2", "3"]
  description = "Availability zones of system and general nodes."
  validation {
    condition     = length(setsubtract(var.zones, ["1", "2", "3"])) == 0
    error_message = "zones must be of 1, 2 and 3; empty where the region has none."
  }
  validation {
    condition     = var.environment != "prod" || length(var.zones) == 3
    error_message = "prod lives in three zones."
  }
}

variable "host_encryption" {
  type        = bool
  default     = true
  description = "Encrypt disks and caches on the host; the subscription needs the feature EncryptionAtHost."
}

variable "system_pool" {
  type        = object({ vm_size = string, min_nodes = number, max_nodes = number })
  description = "Nodes for Kubernetes' own pods."
  validation {
    condition     = var.system_pool.min_nodes >= 1 && var.system_pool.max_nodes >= var.system_pool.min_nodes
    error_message = "system_pool needs at least 1 node, and max_nodes no less than min_nodes."
  }
  validation {
    condition     = var.environment != "prod" || var.system_pool.min_nodes >= 3
    error_message = "In prod the system pool has at least 3 nodes, one for each zone."
  }
}

variable "general_pool" {
  type        = object({ vm_size = string, min_nodes = number, max_nodes = number })
  description = "Nodes for the facade, the release watcher and CPU inference."
  validation {
    condition     = var.general_pool.min_nodes >= 1 && var.general_pool.max_nodes >= var.general_pool.min_nodes
    error_message = "general_pool needs at least 1 node, and max_nodes no less than min_nodes."
  }
}

variable "gpu_pools" {
  type = map(object({
    purpose   = string
    vm_size   = string
    max_nodes = number
    spot      = bool
    zones     = optional(list(string), [])
  }))
  default     = {}
  description = "GPU pools by name. All scale to zero; training belongs on spot, inference on demand."
  validation {
    condition     = alltrue([for pool in var.gpu_pools : !(pool.purpose == "inference" && pool.spot)])
    error_message = "Inference does not belong on spot nodes: users would wait for them to come back."
  }
  validation {
    condition     = length(setintersection(keys(var.gpu_pools), ["system", "general"])) == 0
    error_message = "The names system and general are taken by the cluster's other pools."
  }
}

variable "storage_replication" {
  type        = string
  description = "Redundancy of models, images and results: LRS, ZRS, GRS, RAGRS, GZRS or RAGZRS."
  validation {
    condition     = contains(["LRS", "ZRS", "GRS", "RAGRS", "GZRS", "RAGZRS"], var.storage_replication)
    error_message = "storage_replication must be LRS, ZRS, GRS, RAGRS, GZRS or RAGZRS."
  }
  validation {
    condition     = var.environment != "prod" || var.storage_replication == "RAGZRS"
    error_message = "prod keeps its data in three zones and a second region that can be read: RAGZRS."
  }
}

variable "lifecycle_days" {
  type        = object({ cool = number, deepest = number, old_versions = number })
  default     = { cool = 30, deepest = 180, old_versions = 90 }
  description = "Days until photographs and results turn cool, until they reach the deepest tier, and until overwritten versions go."
  validation {
    condition     = var.lifecycle_days.cool >= 1 && var.lifecycle_days.deepest >= var.lifecycle_days.cool + 30
    error_message = "deepest must come at least 30 days after cool: Azure charges for leaving the cool tier earlier."
  }
  validation {
    condition     = var.lifecycle_days.old_versions >= 7
    error_message = "old_versions must be at least 7 days, or what was overwritten by mistake is gone before anybody looks."
  }
}

variable "model_retention" {
  type        = object({ days = number, locked = optional(bool, false) })
  description = "Days for which nobody can rewrite or delete a registered model. locked: nor take that rule away, ever, whoever asks."
  validation {
    condition     = var.model_retention.days >= 1 && var.model_retention.days <= 146000
    error_message = "model_retention.days must be between 1 and 146000."
  }
  validation {
    condition     = var.environment == "prod" || !var.model_retention.locked
    error_message = "Only prod may lock its models: Azure never unlocks them, and the environment could not be taken down."
  }
}

variable "deletion_lock" {
  type        = bool
  default     = false
  description = "Refuse to delete the storage account and the vault, whoever asks."
}

variable "log_retention_days" {
  type        = number
  default     = 30
  description = "Days for which logs can be searched."
  validation {
    condition     = var.log_retention_days >= 30 && var.log_retention_days <= 730
    error_message = "log_retention_days must be between 30 and 730."
  }
}

variable "log_daily_quota_gb" {
  type        = number
  default     = -1
  description = "Logs taken a day in GB before the rest is dropped; -1 takes everything."
  validation {
    condition     = var.log_daily_quota_gb == -1 || var.log_daily_quota_gb >= 0.1
    error_message = "log_daily_quota_gb must be -1 or at least 0.1: less would drop everything."
  }
}

variable "alert_emails" {
  type        = object({ page = list(string), ticket = list(string) })
  description = "Who is woken, and who finds it in the morning."
  validation {
    condition     = length(var.alert_emails.page) > 0 && length(var.alert_emails.ticket) > 0
    error_message = "alert_emails needs an address for pages and one for tickets: an alert that nobody gets is none."
  }
}

variable "monthly_budget" {
  type        = number
  description = "Monthly spending in the subscription's currency at which people are told (80 % forecast, 100 % real)."
  validation {
    condition     = var.monthly_budget > 0
    error_message = "monthly_budget must be positive."
  }
}

variable "edge" {
  type = object({
    origin_host           = string
    requests_a_minute     = number
    blocked_country_codes = optional(list(string), [])
  })
  default     = null
  description = "Front Door with a firewall before the clusters' internal gateways; null: none. The Private Link service is made by the gateway's Service, so deploy the platform first (README)."
  validation {
    condition     = var.edge == null || try(var.edge.requests_a_minute >= 10, false)
    error_message = "edge.requests_a_minute must be at least 10; each address is counted by itself."
  }
}

variable "machine_learning" {
  type        = object({ vm_size = string, max_nodes = number })
  default     = null
  description = "An Azure Machine Learning workspace with a spot GPU cluster for training at scale; null: none."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags of everything, beside project and environment."
}
