"""Write kubernetes/base/rules.yaml: all of rules/*.yaml as one PrometheusRule, for a cluster's Prometheus operator.

    python -m tools.generate.prometheus_rule

Azure's managed Prometheus has no such object; there terraform/azure/alerts.tf reads the same files.
"""

from pathlib import Path
from typing import Any

import yaml

RULES_DIR = Path(__file__).parent / "rules"
OUTPUT_PATH = Path(__file__).parents[1] / "kubernetes" / "base" / "rules.yaml"


def load_rule_groups() -> list[dict[str, Any]]:
    """Return the groups of every file, in the files' order."""
    return [group for path in sorted(RULES_DIR.glob("*.yaml")) for group in yaml.safe_load(path.read_text())["groups"]]


def render_manifest() -> str:
    """Return the manifest."""
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "thale", "namespace": "thale"},
        "spec": {"groups": load_rule_groups()},
    }
    header = "# Written by tools/generate/prometheus_rule.py from observability/rules; `make rules` writes it anew.\n"
    return header + yaml.safe_dump(manifest, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    OUTPUT_PATH.write_text(render_manifest(), encoding="utf-8")
