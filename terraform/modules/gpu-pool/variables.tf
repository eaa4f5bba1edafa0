variable "name" {
  type        = string
  description = "Name of the pool."
  validation {
    condition     = can(regex("^[a-z][a-z0-9]{0,11}$", var.name))
    error_message = "name must be 1 to 12 lower-case letters and digits and begin with a letter: the limit of Azure for Linux pools."
  }
}

variable "cluster_id" {
  type        = string
  description = "Resource id of the cluster."
}

variable "subnet_id" {
  type        = string
  description = "Resource id of the nodes' subnet."
}

variable "purpose" {
  type        = string
  description = "Purpose of the nodes: the value of the label thale/purpose, which workloads select."
  validation {
    condition     = contains(["inference", "training"], var.purpose)
    error_message = "purpose must be inference or training."
  }
}

variable "vm_size" {
  type        = string
  description = "Size of a node, one of the NC, ND or NV families with NVIDIA GPUs."
  validation {
    condition     = can(regex("^Standard_N[CDV]", var.vm_size))
    error_message = "vm_size must be a GPU size: Standard_NC…, Standard_ND… or Standard_NV…."
  }
}

variable "max_nodes" {
  type        = number
  description = "Maximum size of the pool. There is no default, because each node adds cost."
  validation {
    condition     = var.max_nodes >= 1 && var.max_nodes <= 8
    error_message = "max_nodes must be between 1 and 8."
  }
}

variable "spot" {
  type        = bool
  description = "Whether to use spot nodes, which are cheaper and can be evicted at any time."
}

variable "zones" {
  type        = list(string)
  description = "Availability zones that offer the size; empty if the region has none for it."
}

variable "os_disk_gb" {
  type        = number
  default     = 128
  description = "Size of the ephemeral system disk in GB. It must fit the size's cache or temporary disk."
}

variable "host_encryption" {
  type        = bool
  default     = true
  description = "Whether disks and caches are encrypted on the host."
}

variable "tags" {
  type        = map(string)
  description = "Tags of the pool."
}
