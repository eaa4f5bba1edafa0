"""The page for a lost region, from the plan of two regions to the evaluation by promtool."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ORGANISATION, Run

pytestmark = pytest.mark.integration

LOST, HEALTHY = "aks-thale-prod-northeurope", "aks-thale-prod-westeurope"
TWO_REGIONS = {
    "secondary_location": "northeurope",
    "edge": {"origin_host": "thale.example.org", "requests_a_minute": 600},
    "entra": {"audience": "00000000-0000-0000-0000-00000000000d"},
}


@pytest.fixture(scope="module")
def facade_down(terraform: Run, workspace: Path) -> dict[str, Any]:
    """Return the rule ThaleFacadeDown as Terraform creates it for two regions."""
    folder = workspace / "azure"
    variables = folder / "two-regions.json"
    variables.write_text(json.dumps(ORGANISATION | TWO_REGIONS))
    files = ["-var-file=../environments/prod.tfvars", f"-var-file={variables}"]
    options = ["-input=false", "-no-color", "-refresh=false", "-lock=false", "-out=two-regions.tfplan"]
    result = terraform("plan", *options, *files, folder=folder)
    assert result.returncode == 0, result.stderr
    plan = json.loads(terraform("show", "-json", "two-regions.tfplan", folder=folder).stdout)
    (rule,) = [rule for rule in _rules(plan["planned_values"]["root_module"]) if rule["alert"] == "ThaleFacadeDown"]
    return rule


def _rules(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in module["resources"]:
        if resource["type"] == "azurerm_monitor_alert_prometheus_rule_group":
            yield from resource["values"]["rule"]


@pytest.mark.parametrize("last_samples", ["stale", "0x20"], ids=["lost", "down"])
def test_lost_second_region_pages(facade_down: dict[str, Any], tmp_path: Path, last_samples: str) -> None:
    labels = facade_down["labels"]
    alert = {"alert": "ThaleFacadeDown", "expr": facade_down["expression"], "for": "2m", "labels": labels}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "regions", "rules": [alert]}]}))
    series = {HEALTHY: "1x20", LOST: f"1 {last_samples}"}
    page = {"exp_labels": labels | {"cluster": LOST} | ({"job": "thale-facade"} if last_samples == "stale" else {})}
    case = {
        "interval": "1m",
        "input_series": [
            {"series": f'up{{job="thale-facade",environment="prod",cluster="{cluster}"}}', "values": values}
            for cluster, values in series.items()
        ],
        "alert_rule_test": [{"eval_time": "10m", "alertname": "ThaleFacadeDown", "exp_alerts": [page]}],
    }
    test = tmp_path / "test.yaml"
    test.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [case]}))
    if shutil.which("promtool") is None:
        pytest.skip("promtool not found: apt-get install --no-install-recommends prometheus (`make prometheus`)")
    result = subprocess.run(["promtool", "test", "rules", test], capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stdout + result.stderr
