"""Queries of rules, dashboards, runbooks, autoscaler and judge use exactly the declared metrics and labels."""

import ast
import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import promql
from thale.telemetry.controller_metrics import CONTROLLER_METRICS
from thale.telemetry.external_metrics import EXTERNAL_METRICS
from thale.telemetry.metrics import METRICS

REPOSITORY = Path(__file__).parents[2]
OBSERVABILITY_DIR = REPOSITORY / "observability"
RELEASE_DIR = REPOSITORY / "services" / "thale" / "release"

TARGET_LABELS = frozenset({"job", "instance", "environment", "namespace", "pod"})
"""Labels that the scrape adds to every series; the last two only in clusters."""
GRAFANA_INTERVALS = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h"}

UNREAD_METRICS = {
    "thale_facade_idempotent_requests": "only clients that retry with a key cause it; operators query it on demand",
}
"""Metrics that no query reads, with the reason why they are exported."""

Query = tuple[str, str]
"""Location and expression of a query."""


def load_rules() -> Iterator[dict[str, Any]]:
    for path in sorted((OBSERVABILITY_DIR / "rules").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def rule_queries() -> Iterator[Query]:
    for rule in load_rules():
        yield f"rule {rule.get('record') or rule['alert']}", rule["expr"]


def dashboard_queries() -> Iterator[Query]:
    """Yield the queries of panels, annotations and variables, with Grafana's intervals filled in."""
    for path in sorted((OBSERVABILITY_DIR / "dashboards" / "generated").rglob("*.json")):
        dashboard = json.loads(path.read_text())
        for panel in _panels(dashboard):
            for target in panel.get("targets", ()):
                if "expr" in target and target.get("datasource", {}).get("type", "prometheus") == "prometheus":
                    yield f"{path.name}: {panel['title']}", _fill_intervals(target["expr"])
        for annotation in dashboard.get("annotations", {}).get("list", ()):
            if "expr" in annotation:
                yield f"{path.name}: annotation {annotation['name']}", _fill_intervals(annotation["expr"])
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{path.name}: variable {variable['name']}", _label_values(variable["query"])


def _panels(dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def _fill_intervals(expr: str) -> str:
    for name, value in GRAFANA_INTERVALS.items():
        expr = expr.replace(name, value)
    return expr


def _label_values(query: Any) -> str:
    """Return Grafana's label_values(selector, label) as equivalent PromQL."""
    text = query if isinstance(query, str) else query["query"]
    inside = text.removeprefix("label_values(").removesuffix(")")
    selector, _, label = inside.rpartition(",")
    return f"group by ({label.strip()}) ({selector})"


def runbook_queries() -> Iterator[Query]:
    text = (OBSERVABILITY_DIR / "runbooks.md").read_text()
    for block in re.findall(r"```promql\n(.*?)```", text, re.DOTALL):
        for line in filter(None, block.splitlines()):
            yield "runbooks.md", line


def autoscaler_queries() -> Iterator[Query]:
    for path in (REPOSITORY / "kubernetes" / "base").glob("*.yaml"):
        for manifest in yaml.safe_load_all(path.read_text()):
            if manifest["kind"] == "ScaledObject":
                for trigger in manifest["spec"]["triggers"]:
                    if trigger["type"] == "prometheus":
                        yield f"ScaledObject {manifest['metadata']['name']}", trigger["metadata"]["query"]


QUERIES = [*rule_queries(), *dashboard_queries(), *runbook_queries(), *autoscaler_queries()]

RECORDING_RULES = {rule["record"]: rule["expr"] for rule in load_rules() if "record" in rule}
EXPORTED_LABELS: dict[str, frozenset[str]] = {
    **{metric.name: frozenset(metric.labels) | TARGET_LABELS for metric in EXTERNAL_METRICS},
    **{
        name: frozenset(label.name for label in metric.labels)
        | TARGET_LABELS
        | ({"le"} if name.endswith("_bucket") else set())
        for table in (METRICS, CONTROLLER_METRICS)
        for metric in table
        for name in metric.series_names
    },
}
"""All exported series, with their possible labels."""


@functools.cache
def labels_of_metric(metric: str) -> frozenset[str]:
    """Return the labels of an exported or recorded series."""
    if metric in RECORDING_RULES:
        return promql.result_labels(RECORDING_RULES[metric], labels_of_metric)
    return EXPORTED_LABELS[metric]


def metrics_named_by_judge() -> set[str]:
    """Return every string in `thale.release` that starts like a metric of the facade."""
    texts = set()
    for path in RELEASE_DIR.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts |= set(re.findall(r"^thale_(?:facade|model|output|shadow)_\w*", node.value))
    return texts


@pytest.mark.parametrize("queries", [rule_queries, dashboard_queries, runbook_queries, autoscaler_queries])
def test_queries_use_exported_metrics_and_labels(queries: Callable[[], Iterator[Query]]) -> None:
    all_queries = list(queries())
    assert all_queries
    assert [problem for location, expr in all_queries for problem in query_problems(location, expr)] == []


def query_problems(location: str, expr: str) -> Iterator[str]:
    for selector in promql.find_selectors(expr):
        if selector.metric not in EXPORTED_LABELS and selector.metric not in RECORDING_RULES:
            yield f"{location}: {selector.metric} is not exported"
        elif unknown := selector.labels - labels_of_metric(selector.metric):
            yield f"{location}: {selector.metric} has no label {sorted(unknown)}"


def test_judge_reads_exported_metrics() -> None:
    families = {metric.name for metric in METRICS}
    for name in metrics_named_by_judge():
        assert any(family == name or (name.endswith("_") and family.startswith(name)) for family in families), name


def test_every_exported_metric_is_read() -> None:
    metrics_in_queries = {selector.metric for _, expr in QUERIES for selector in promql.find_selectors(expr)}
    judge_metrics = metrics_named_by_judge()
    unread = set()
    for metric in (*METRICS, *CONTROLLER_METRICS):
        is_read_by_judge = any(
            metric.name == name or (name.endswith("_") and metric.name.startswith(name)) for name in judge_metrics
        )
        if not is_read_by_judge and not metrics_in_queries & set(metric.series_names):
            unread.add(metric.name)
    assert unread == UNREAD_METRICS.keys()


def test_every_external_metric_and_its_labels_are_read() -> None:
    labels_in_queries: dict[str, set[str]] = {}
    for _, expr in QUERIES:
        for selector in promql.find_selectors(expr):
            labels_in_queries.setdefault(selector.metric, set()).update(selector.labels)
    for metric in EXTERNAL_METRICS:
        assert metric.name in labels_in_queries, f"no query reads {metric.name}"
        assert set(metric.labels) <= labels_in_queries[metric.name], f"no query reads {metric.labels} of {metric.name}"


def test_every_recording_rule_is_read() -> None:
    metrics_in_queries = {selector.metric for _, expr in QUERIES for selector in promql.find_selectors(expr)}
    assert not RECORDING_RULES.keys() - metrics_in_queries


def test_recording_rule_names_start_with_their_labels() -> None:
    for record, expr in RECORDING_RULES.items():
        level = record.split(":")[0]
        labels = promql.result_labels(expr, labels_of_metric)
        assert "environment" in labels, record
        level_aliases = {"volume": {"persistentvolumeclaim"}, "gpu": {"Hostname", "gpu"}, "environment": set()}
        level_labels = level_aliases.get(level, set(level.split("_")) - {"environment"})
        assert labels - {"environment", "currency"} == level_labels, record


def test_alert_annotations_use_labels_of_the_alert() -> None:
    for rule in load_rules():
        if "alert" in rule:
            available_labels = promql.result_labels(rule["expr"], labels_of_metric) | rule["labels"].keys()
            used_labels = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
            assert used_labels <= available_labels | {"environment"}, (
                f"{rule['alert']}: {sorted(used_labels - available_labels)}"
            )
