# Production: three zones, data in two regions, protection against accidental deletion.
environment = "prod"
location    = "westeurope"

defender = true

system_pool  = { vm_size = "Standard_D4ds_v5", min_nodes = 3, max_nodes = 6 }
general_pool = { vm_size = "Standard_D8ds_v5", min_nodes = 3, max_nodes = 12 }
gpu_pools = {
  inference = { purpose = "inference", vm_size = "Standard_NC4as_T4_v3", max_nodes = 4, spot = false }
  training  = { purpose = "training", vm_size = "Standard_NC24ads_A100_v4", max_nodes = 4, spot = true }
}

storage_replication = "RAGZRS"
model_retention     = { days = 3650 }
deletion_protection = true
log_retention_days  = 90

experiments_database = { sku_name = "GP_Standard_D2ds_v5", storage_mb = 131072, zone_redundant = true, backup_days = 35, geo_redundant_backup = true }

monthly_budget = 5000
