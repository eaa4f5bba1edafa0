# Optional: Front Door with a firewall. It reaches the internal gateway of each region by Private Link, and fails over.

locals {
  edge = var.edge == null ? {} : local.locations
  # The host name of your own, if there is one. Then the default one of Front Door has no route.
  edge_domains = { for edge in var.edge[*] : "this" => edge.host_name if edge.host_name != null }
}

resource "azurerm_cdn_frontdoor_profile" "this" {
  count                    = var.edge == null ? 0 : 1
  name                     = "afd-${local.name}"
  resource_group_name      = azurerm_resource_group.this.name
  sku_name                 = "Premium_AzureFrontDoor" # required by Private Link origins and managed rules
  response_timeout_seconds = 120
  tags                     = local.tags
}

resource "azurerm_cdn_frontdoor_endpoint" "this" {
  count                    = var.edge == null ? 0 : 1
  name                     = local.name
  cdn_frontdoor_profile_id = azurerm_cdn_frontdoor_profile.this[0].id
  tags                     = local.tags
}

# Front Door always offers TLS 1.3 and prefers it. Azure has no higher minimum than 1.2, and the default host name has the
# same. The set of 2023 leaves 1.2 the two suites with forward secrecy and AEAD.
resource "azurerm_cdn_frontdoor_custom_domain" "this" {
  for_each                 = local.edge_domains
  name                     = replace(each.value, ".", "-")
  cdn_frontdoor_profile_id = azurerm_cdn_frontdoor_profile.this[0].id
  host_name                = each.value

  tls {
    certificate_type = "ManagedCertificate"
    minimum_version  = "TLS12"
    cipher_suite {
      type = "TLS12_2023"
    }
  }
}

resource "azurerm_cdn_frontdoor_custom_domain_association" "this" {
  for_each                       = local.edge_domains
  cdn_frontdoor_custom_domain_id = azurerm_cdn_frontdoor_custom_domain.this[each.key].id
  cdn_frontdoor_route_ids        = [azurerm_cdn_frontdoor_route.this[0].id]
}

resource "azurerm_cdn_frontdoor_origin_group" "this" {
  count                    = var.edge == null ? 0 : 1
  name                     = "gateways"
  cdn_frontdoor_profile_id = azurerm_cdn_frontdoor_profile.this[0].id
  session_affinity_enabled = false

  health_probe {
    protocol            = "Https"
    path                = "/health/ready"
    request_type        = "GET"
    interval_in_seconds = 30
  }

  load_balancing {
    sample_size                 = 4
    successful_samples_required = 3
  }
}

resource "azurerm_cdn_frontdoor_origin" "region" {
  for_each                       = local.edge
  name                           = each.key
  cdn_frontdoor_origin_group_id  = azurerm_cdn_frontdoor_origin_group.this[0].id
  host_name                      = var.edge.origin_host
  origin_host_header             = var.edge.origin_host
  certificate_name_check_enabled = true
  priority                       = each.key == "primary" ? 1 : 2 # traffic goes to the second region only if the first is unhealthy
  weight                         = 1000

  # kubernetes/components/azure-gateway creates and names the service.
  private_link {
    location               = each.value
    request_message        = "Front Door of ${local.name}"
    private_link_target_id = "/subscriptions/${var.subscription_id}/resourceGroups/${module.region[each.key].node_resource_group}/providers/Microsoft.Network/privateLinkServices/thale"
  }
}

resource "azurerm_cdn_frontdoor_route" "this" {
  count                           = var.edge == null ? 0 : 1
  name                            = "everything"
  cdn_frontdoor_endpoint_id       = azurerm_cdn_frontdoor_endpoint.this[0].id
  cdn_frontdoor_origin_group_id   = azurerm_cdn_frontdoor_origin_group.this[0].id
  cdn_frontdoor_origin_ids        = [for origin in azurerm_cdn_frontdoor_origin.region : origin.id]
  cdn_frontdoor_custom_domain_ids = [for domain in azurerm_cdn_frontdoor_custom_domain.this : domain.id]
  patterns_to_match               = ["/*"]
  supported_protocols             = ["Http", "Https"]
  https_redirect_enabled          = true
  forwarding_protocol             = "HttpsOnly"
  link_to_default_domain          = length(local.edge_domains) == 0
}

resource "azurerm_cdn_frontdoor_firewall_policy" "this" {
  count                      = var.edge == null ? 0 : 1
  name                       = "waf${replace(local.name, "-", "")}"
  resource_group_name        = azurerm_resource_group.this.name
  sku_name                   = azurerm_cdn_frontdoor_profile.this[0].sku_name
  mode                       = "Prevention"
  request_body_check_enabled = true
  tags                       = local.tags

  managed_rule {
    type    = "Microsoft_DefaultRuleSet"
    version = "2.1"
    action  = "Block"
  }

  managed_rule {
    type    = "Microsoft_BotManagerRuleSet"
    version = "1.1"
    action  = "Block"
  }

  custom_rule {
    name                           = "TooManyRequests"
    type                           = "RateLimitRule"
    priority                       = 100
    action                         = "Block"
    rate_limit_duration_in_minutes = 1
    rate_limit_threshold           = var.edge.requests_a_minute
    match_condition {
      match_variable = "SocketAddr" # all addresses: the provider does not support the operator Any, which takes no values
      operator       = "IPMatch"
      match_values   = ["0.0.0.0/0", "::/0"]
    }
  }

  dynamic "custom_rule" {
    for_each = length(var.edge.blocked_country_codes) > 0 ? [1] : []
    content {
      name     = "BlockedCountries"
      type     = "MatchRule"
      priority = 200
      action   = "Block"
      match_condition {
        match_variable = "SocketAddr"
        operator       = "GeoMatch"
        match_values   = var.edge.blocked_country_codes
      }
    }
  }
}

resource "azurerm_cdn_frontdoor_security_policy" "this" {
  count                    = var.edge == null ? 0 : 1
  name                     = "firewall"
  cdn_frontdoor_profile_id = azurerm_cdn_frontdoor_profile.this[0].id

  security_policies {
    firewall {
      cdn_frontdoor_firewall_policy_id = azurerm_cdn_frontdoor_firewall_policy.this[0].id
      association {
        patterns_to_match = ["/*"]
        dynamic "domain" {
          for_each = concat(azurerm_cdn_frontdoor_endpoint.this[*].id, [for domain in azurerm_cdn_frontdoor_custom_domain.this : domain.id])
          content {
            cdn_frontdoor_domain_id = domain.value
          }
        }
      }
    }
  }
}

resource "azurerm_monitor_diagnostic_setting" "edge" {
  count                      = var.edge == null ? 0 : 1
  name                       = "audit"
  target_resource_id         = azurerm_cdn_frontdoor_profile.this[0].id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  enabled_log {
    category = "FrontDoorWebApplicationFirewallLog"
  }
  enabled_log {
    category = "FrontDoorHealthProbeLog"
  }
}
