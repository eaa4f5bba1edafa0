# One small cluster for experiments. Subscription, groups and email addresses are settings of the organisation (README).
environment = "dev"
location    = "westeurope"

sku_tier        = "Free"
zones           = ["1"]
host_encryption = true

system_pool  = { vm_size = "Standard_D4ds_v5", min_nodes = 2, max_nodes = 3 }
general_pool = { vm_size = "Standard_D4ds_v5", min_nodes = 1, max_nodes = 3 }
gpu_pools = {
  inference = { purpose = "inference", vm_size = "Standard_NC4as_T4_v3", max_nodes = 1, spot = false }
  training  = { purpose = "training", vm_size = "Standard_NC4as_T4_v3", max_nodes = 1, spot = true }
}

storage_replication = "LRS"
model_retention     = { days = 1 }
log_daily_quota_gb  = 2

monthly_budget = 1400
