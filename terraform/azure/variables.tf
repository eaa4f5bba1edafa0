variable "subscription_id" {
  type        = string
  description = "Azure subscription of all resources."
  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", lower(var.subscription_id)))
    error_message = "subscription_id must be a UUID, as `az account show --query id` prints it."
  }
}

variable "environment" {
  type        = string
  description = "Name of the environment; part of all resource names."
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
  description = "Second region with its own cluster, to which the edge fails over. null: one region."
  validation {
    condition     = var.secondary_location == null || can(regex("^[a-z]+[a-z0-9]*$", var.secondary_location))
    error_message = "secondary_location must be a region's short name or null."
  }
  validation {
    condition     = var.secondary_location != var.location
    error_message = "secondary_location must differ from location."
  }
  validation {
    condition     = var.secondary_location == null || var.edge != null
    error_message = "secondary_location needs an edge that fails over to it: set edge as well."
  }
}

variable "address_spaces" {
  type        = list(string)
  default     = ["10.40.0.0/16", "10.41.0.0/16"]
  description = "Address ranges of the virtual networks of the first and the second region, each a /16."
  validation {
    condition     = length(var.address_spaces) == 2 && length(distinct(var.address_spaces)) == 2
    error_message = "address_spaces must be two different ranges."
  }
  validation {
    condition     = length(setintersection(var.address_spaces, ["10.0.0.0/16", "10.244.0.0/16"])) == 0
    error_message = "address_spaces must not contain 10.0.0.0/16 or 10.244.0.0/16: services and pods use these ranges."
  }
}

variable "kubernetes_version" {
  type        = string
  default     = "1.35"
  description = "Minor version of Kubernetes. The patch channel selects the patch version."
  validation {
    condition     = can(regex("^1\\.(3[3-9]|[4-9][0-9])$", var.kubernetes_version))
    error_message = "kubernetes_version must be a minor version of at least 1.33, such as 1.35: Envoy Gateway 1.9 requires it."
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
  description = "CIDR ranges that may reach the API server. Empty: private, reachable only from the network."
  validation {
    condition     = alltrue([for range in var.api_server_authorized_ip_ranges : can(cidrhost(range, 0)) && !startswith(range, "0.0.0.0/")])
    error_message = "api_server_authorized_ip_ranges must be CIDR ranges other than the whole internet."
  }
}

variable "admin_group_ids" {
  type        = list(string)
  description = "Object ids of the Entra groups whose members administer the clusters, the secrets and Grafana."
  validation {
    condition     = length(var.admin_group_ids) > 0
    error_message = "admin_group_ids must have at least one group: local accounts are disabled, so it is the only access."
  }
  validation {
    condition     = alltrue([for id in var.admin_group_ids : can(regex("^[0-9a-f-]{36}$", lower(id)))])
    error_message = "admin_group_ids must be object ids, as `az ad group show --query id` prints them."
  }
}

variable "admin_access" {
  type = object({
    hub = optional(object({ virtual_network_id = string, prefixes = list(string), use_gateway = optional(bool, false) }))
    vpn = optional(object({
      client_range = string
      audience     = optional(string, "c632b3df-fb67-4d84-bdcf-b95ad541b5c8") # Azure VPN Client, registered by Microsoft
      size         = optional(string, "VpnGw1AZ")                             # the smallest with Entra
    }))
  })
  default     = null
  description = "Way in for administrators to vault, storage, registry, API server and gateway (README, \"Administrators' access\"). hub: peering with an existing network; prefixes: the addresses in or behind it that get access; use_gateway: whether they come through the hub's VPN or ExpressRoute gateway. vpn: a VPN gateway in each region with sign-in by Entra; client_range: addresses of its clients; audience: app registration of your own, to limit the users. null: only `az aks command invoke`."
  validation {
    condition     = var.admin_access == null || try(var.admin_access.hub, null) != null || try(var.admin_access.vpn, null) != null
    error_message = "admin_access must have hub or vpn: use null for no access."
  }
  validation {
    condition     = try(var.admin_access.hub, null) == null || can(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Network/virtualNetworks/[^/]+$", var.admin_access.hub.virtual_network_id))
    error_message = "admin_access.hub.virtual_network_id must be a resource id, as `az network vnet show --query id` prints it."
  }
  validation {
    condition     = try(var.admin_access.hub, null) == null || try(length(var.admin_access.hub.prefixes) > 0 && alltrue([for range in var.admin_access.hub.prefixes : can(cidrhost(range, 0)) && tonumber(split("/", range)[1]) >= 8]), false)
    error_message = "admin_access.hub.prefixes must be CIDR ranges of at most a /8: the addresses of the administrators, not every address."
  }
  validation {
    condition     = try(var.admin_access.vpn, null) == null || !try(var.admin_access.hub.use_gateway, false)
    error_message = "admin_access.hub.use_gateway must be false with vpn: a network has its own gateway or the hub's, not both."
  }
  validation {
    condition     = try(var.admin_access.vpn, null) == null || try(tonumber(split("/", var.admin_access.vpn.client_range)[1]) <= 26 && can(cidrhost(var.admin_access.vpn.client_range, 0)), false)
    error_message = "admin_access.vpn.client_range must be a CIDR range of at least a /26, such as 172.30.0.0/24."
  }
}

variable "defender" {
  type        = bool
  default     = false
  description = "Microsoft Defender for Containers on the clusters; billed by cores."
}

variable "zones" {
  type        = list(string)
  default     = ["1", "2", "3"]
  description = "Availability zones of system and general nodes."
  validation {
    condition     = length(setsubtract(var.zones, ["1", "2", "3"])) == 0
    error_message = "zones must be a subset of 1, 2 and 3; empty for a region without zones."
  }
  validation {
    condition     = var.environment != "prod" || length(var.zones) == 3
    error_message = "prod needs three zones."
  }
}

variable "host_encryption" {
  type        = bool
  default     = true
  description = "Encryption of disks and caches on the host. The subscription needs the feature EncryptionAtHost."
}

variable "system_pool" {
  type        = object({ vm_size = string, min_nodes = number, max_nodes = number })
  description = "Nodes for Kubernetes' system pods."
  validation {
    condition     = var.system_pool.min_nodes >= 2 && var.system_pool.max_nodes >= var.system_pool.min_nodes
    error_message = "system_pool needs min_nodes of at least 2, the minimum of AKS, and max_nodes of at least min_nodes."
  }
  validation {
    condition     = !startswith(var.system_pool.vm_size, "Standard_B") && try(tonumber(regex("^Standard_[A-Z]+([0-9]+)", var.system_pool.vm_size)[0]) >= 4, false)
    error_message = "system_pool.vm_size needs at least 4 vCPUs and must not be a B size, such as Standard_D4ds_v5: AKS requires it of system nodes."
  }
  validation {
    condition     = var.environment != "prod" || var.system_pool.min_nodes >= 3
    error_message = "system_pool.min_nodes must be at least 3 in prod, one for each zone."
  }
}

variable "general_pool" {
  type        = object({ vm_size = string, min_nodes = number, max_nodes = number })
  description = "Nodes for the facade, the rollout controller and CPU inference."
  validation {
    condition     = var.general_pool.min_nodes >= 1 && var.general_pool.max_nodes >= var.general_pool.min_nodes
    error_message = "general_pool needs min_nodes of at least 1, and max_nodes of at least min_nodes."
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
  description = "GPU pools by name. All scale to zero. Training uses spot nodes, inference uses on-demand nodes."
  validation {
    condition     = alltrue([for pool in var.gpu_pools : !(pool.purpose == "inference" && pool.spot)])
    error_message = "Pools for inference must have spot = false: an eviction would interrupt requests."
  }
  validation {
    condition     = length(setintersection(keys(var.gpu_pools), ["system", "general"])) == 0
    error_message = "The names system and general are reserved for the other pools."
  }
}

variable "storage_replication" {
  type        = string
  description = "Redundancy of the storage account: LRS, ZRS, GRS, RAGRS, GZRS or RAGZRS."
  validation {
    condition     = contains(["LRS", "ZRS", "GRS", "RAGRS", "GZRS", "RAGZRS"], var.storage_replication)
    error_message = "storage_replication must be LRS, ZRS, GRS, RAGRS, GZRS or RAGZRS."
  }
  validation {
    condition     = var.environment != "prod" || var.storage_replication == "RAGZRS"
    error_message = "prod needs data in three zones and a readable second region: RAGZRS."
  }
}

variable "lifecycle_days" {
  type        = object({ cool = number, deepest = number, old_versions = number })
  default     = { cool = 30, deepest = 180, old_versions = 90 }
  description = "With experiments_enabled: days until photographs move to the cool tier and to the cold tier, and until overwritten versions are deleted."
  validation {
    condition     = var.lifecycle_days.cool >= 1 && var.lifecycle_days.deepest >= var.lifecycle_days.cool + 30
    error_message = "lifecycle_days.deepest must be at least 30 days after cool: Azure charges for an earlier move."
  }
  validation {
    condition     = var.lifecycle_days.old_versions >= 7
    error_message = "lifecycle_days.old_versions must be at least 7, so that an operator can restore a blob."
  }
}

variable "model_retention" {
  type        = object({ days = number, locked = optional(bool, false) })
  description = "Days in which a registered model cannot be rewritten or deleted. locked: the policy can never be removed."
  validation {
    condition     = var.model_retention.days >= 1 && var.model_retention.days <= 146000
    error_message = "model_retention.days must be between 1 and 146000."
  }
  validation {
    condition     = var.environment == "prod" || !var.model_retention.locked
    error_message = "model_retention.locked is only allowed in prod: Azure never unlocks the policy, and the environment cannot be destroyed."
  }
}

variable "deletion_protection" {
  type        = bool
  default     = false
  description = "`make destroy` refuses the environment, and deleted blobs and containers can be restored for 90 days instead of 30."
}

variable "experiments_enabled" {
  type        = bool
  default     = false
  description = "Store of experiments: PostgreSQL, a container for photographs, and the facade's role on it (docs/experiments.md)."
}

variable "experiments_database" {
  type = object({
    sku_name             = optional(string, "B_Standard_B2s")
    storage_mb           = optional(number, 32768)
    zone_redundant       = optional(bool, false)
    backup_days          = optional(number, 7)
    geo_redundant_backup = optional(bool, false)
    admin_groups         = optional(map(string), {})
  })
  default     = {}
  description = "With experiments_enabled: size and protection of PostgreSQL. storage_mb: initial size, which Azure grows. admin_groups: display names of its administrators by object id, of admin_group_ids. geo_redundant_backup cannot be changed later."
  validation {
    condition     = !var.experiments_database.zone_redundant || !startswith(var.experiments_database.sku_name, "B_")
    error_message = "experiments_database.zone_redundant needs a general purpose or memory optimised sku_name, such as GP_Standard_D2ds_v5: burstable servers have no standby."
  }
  validation {
    condition     = var.environment != "prod" || !var.experiments_enabled || (var.experiments_database.zone_redundant && var.experiments_database.geo_redundant_backup && var.experiments_database.backup_days >= 30)
    error_message = "prod needs an experiments_database with zone_redundant, geo_redundant_backup and at least 30 backup_days."
  }
  validation {
    condition     = var.experiments_database.backup_days >= 7 && var.experiments_database.backup_days <= 35
    error_message = "experiments_database.backup_days must be between 7 and 35."
  }
  validation {
    condition     = !var.experiments_enabled || length(var.experiments_database.admin_groups) > 0
    error_message = "experiments_enabled needs experiments_database.admin_groups: without an administrator, no role can be created in the database."
  }
  validation {
    condition     = alltrue([for id in keys(var.experiments_database.admin_groups) : contains(var.admin_group_ids, id)])
    error_message = "experiments_database.admin_groups may only have groups of admin_group_ids."
  }
}

variable "log_retention_days" {
  type        = number
  default     = 30
  description = "Retention of logs in days."
  validation {
    condition     = var.log_retention_days >= 30 && var.log_retention_days <= 730
    error_message = "log_retention_days must be between 30 and 730."
  }
}

variable "runbooks_url" {
  description = "Page of observability/runbooks.md, for the links of alerts. `make deploy` sets it. null: the placeholder of the rules."
  type        = string
  default     = null

  validation {
    condition     = var.runbooks_url == null || can(regex("^https?://[^#]+$", var.runbooks_url))
    error_message = "runbooks_url must be an absolute URL without an anchor."
  }
}

variable "log_daily_quota_gb" {
  type        = number
  default     = 10
  description = "Maximum log ingestion per day in GB; further logs are dropped. It bounds the cost of logs."
  validation {
    condition     = var.log_daily_quota_gb >= 0.1
    error_message = "log_daily_quota_gb must be at least 0.1: a smaller quota would drop all logs."
  }
}

variable "alert_emails" {
  type        = object({ page = list(string), ticket = list(string) })
  description = "Email addresses for pages and for tickets."
  validation {
    condition     = length(var.alert_emails.page) > 0 && length(var.alert_emails.ticket) > 0
    error_message = "alert_emails needs at least one address for pages and one for tickets."
  }
}

variable "monthly_budget" {
  type        = number
  description = "Monthly budget in the subscription's currency. Alerts: 80 % of the forecast, 100 % of the actual cost."
  validation {
    condition     = var.monthly_budget > 0
    error_message = "monthly_budget must be positive."
  }
}

variable "entra" {
  type        = object({ audience = string, tenant_id = optional(string) })
  default     = null
  description = "App registration whose access tokens the facade and the gateway accept (docs/authentication.md); tenant_id: by default the tenant of the subscription. null: API keys only."
  validation {
    condition     = var.entra == null || can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.entra.audience))
    error_message = "entra.audience must be the client id of the app registration, as `az ad app show --query appId` prints it."
  }
  validation {
    condition     = try(var.entra.tenant_id, null) == null || can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", lower(var.entra.tenant_id)))
    error_message = "entra.tenant_id must be a UUID, as `az account show --query tenantId` prints it."
  }
}

variable "edge" {
  type = object({
    origin_host           = string
    requests_a_minute     = number
    host_name             = optional(string)
    blocked_country_codes = optional(list(string), [])
  })
  default     = null
  description = "Front Door with a firewall for the internal gateways of the clusters; null: none. host_name: a name of your own instead of Front Door's (the output edge_domain has its DNS records). The gateway's Service creates the Private Link service, so deploy the platform first (README)."
  validation {
    condition     = var.edge == null || try(var.edge.requests_a_minute >= 10, false)
    error_message = "edge.requests_a_minute must be at least 10. The limit is per client address."
  }
  validation {
    condition     = var.edge == null || var.entra != null
    error_message = "edge opens the facade to the internet, so it needs an authentication of clients: set entra = { audience = \"…\" } as well (docs/authentication.md)."
  }
}

variable "machine_learning" {
  type        = object({ vm_size = string, max_nodes = number })
  default     = null
  description = "Azure Machine Learning workspace with a spot GPU cluster for training; null: none."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags of all resources, in addition to project and environment."
}
