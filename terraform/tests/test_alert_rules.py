"""Expressions of the alert rules on Azure, read from the files: without terraform, its provider and Prometheus.

test_region_alerts.py evaluates the planned rule.
"""

from typing import Any

import yaml

from tests.support.terraform_configuration import TERRAFORM, expression, read_module

RULES = TERRAFORM.parent / "observability" / "rules" / "telemetry.yaml"


def facade_down() -> dict[str, Any]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    [rule] = [rule for group in groups for rule in group["rules"] if rule.get("alert") == "ThaleFacadeDown"]
    return dict(rule)


def test_lost_facade_has_a_term_for_each_region() -> None:
    """A single `absent` is silent as long as the other region reports."""
    azure = read_module("azure")
    single = expression(azure.local_values["absent_facade"]).replace('\\"', '"').strip('"')
    assert single in facade_down()["expr"]
    assert facade_down()["labels"]["severity"] == "page"
    terms = expression(azure.local_values["absent_facade_of_a_cluster"]).replace('\\"', '"')
    assert "for region in module.region :" in terms
    assert 'cluster="${region.cluster_name}"' in terms
    [group] = azure.of_type("azurerm_monitor_alert_prometheus_rule_group").values()
    [content] = group["dynamic"][0]["rule"]["content"]
    assert expression(content["expression"]) == (
        "replace(rule.value.expr, local.absent_facade, local.absent_facade_of_a_cluster)"
    )
