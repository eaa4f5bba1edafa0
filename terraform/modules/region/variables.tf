variable "name" {
  type        = string
  description = "Suffix of all resource names, such as thale-prod-westeurope."
}

variable "location" {
  type        = string
  description = "Azure region."
}

variable "tenant_id" {
  type        = string
  description = "Entra tenant that signs in people and workloads to the cluster."
}

variable "address_space" {
  type        = string
  description = "IPv4 range of the virtual network, a /16. The ranges of two regions must not overlap."
  validation {
    condition     = can(cidrhost(var.address_space, 0)) && endswith(var.address_space, "/16")
    error_message = "address_space must be an IPv4 range with a /16 prefix, such as 10.40.0.0/16."
  }
}

variable "cluster" {
  type = object({
    kubernetes_version   = string
    sku_tier             = string
    authorized_ip_ranges = list(string)
    zones                = list(string)
    host_encryption      = bool
    defender             = bool
  })
  description = "Settings of the cluster. The root module documents and validates each."
}

variable "system_pool" {
  type        = object({ vm_size = string, min_nodes = number, max_nodes = number })
  description = "Nodes for Kubernetes' system pods."
}

variable "general_pool" {
  type        = object({ vm_size = string, min_nodes = number, max_nodes = number })
  description = "Nodes for the facade, the rollout controller and CPU inference."
}

variable "gpu_pools" {
  type = map(object({
    purpose   = string
    vm_size   = string
    max_nodes = number
    spot      = bool
    zones     = list(string)
  }))
  description = "GPU pools by name."
}

variable "registry_id" {
  type        = string
  description = "Resource id of the container registry that the nodes pull from."
}

variable "telemetry" {
  type        = object({ workspace_id = string, metrics_rule_id = string, logs_rule_id = string })
  description = "Resource ids of the Log Analytics workspace and of the data collection rules for metrics and container logs."
}

variable "private_links" {
  type        = map(object({ resource_id = string, subresource = string, dns_zones = list(string) }))
  description = "Targets of private endpoints, by a short name."
}

variable "workloads" {
  type        = map(object({ identity_id = string, namespace = string, service_account = string }))
  description = "Service accounts with a managed identity, by workload."
}

variable "admin_access" {
  type = object({
    hub = optional(object({ virtual_network_id = string, prefixes = list(string), use_gateway = bool, peer_back = bool, link_zones = bool }))
    vpn = optional(object({ client_range = string, audience = string, size = string }))
  })
  default     = {}
  description = "Way in for administrators: an existing hub network, a VPN gateway, both, or none. peer_back: whether to create the hub's side of the peering; link_zones: whether the hub resolves this region's private endpoints."
}

variable "tags" {
  type        = map(string)
  description = "Tags of all resources."
}
