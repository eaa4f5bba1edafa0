# The structure of prod at a smaller size, for tests before production.
environment = "staging"
location    = "westeurope"

system_pool  = { vm_size = "Standard_D4ds_v5", min_nodes = 2, max_nodes = 3 }
general_pool = { vm_size = "Standard_D4ds_v5", min_nodes = 2, max_nodes = 6 }
gpu_pools = {
  inference = { purpose = "inference", vm_size = "Standard_NC4as_T4_v3", max_nodes = 2, spot = false }
  training  = { purpose = "training", vm_size = "Standard_NC24ads_A100_v4", max_nodes = 1, spot = true }
}

storage_replication = "ZRS"
model_retention     = { days = 30 }
log_daily_quota_gb  = 5

experiments_database = { sku_name = "GP_Standard_D2ds_v5", zone_redundant = true, backup_days = 14 }

monthly_budget = 2000
