"""What rules, dashboards, runbooks, the autoscaler and the judge read is what is told, and what is told is read."""

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
from thale.telemetry.controller_metrics import WATCHER_METRICS
from thale.telemetry.external_metrics import FOREIGN
from thale.telemetry.metrics import METRICS

REPOSITORY = Path(__file__).parents[2]
ROOM = REPOSITORY / "observability"
JUDGE = REPOSITORY / "services" / "thale" / "release"

TARGET = frozenset({"job", "instance", "environment", "namespace", "pod"})
"""What scraping puts on every series; the last two in clusters."""
GRAFANAS_TIMES = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h"}

READ_BY_NOBODY: dict[str, str] = {}
"""Metrics that no query reads, and why they are told all the same."""

Query = tuple[str, str]
"""Where it stands, and the expression."""


def rules() -> Iterator[dict[str, Any]]:
    for path in sorted((ROOM / "rules").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def of_rules() -> Iterator[Query]:
    for rule in rules():
        yield f"rule {rule.get('record') or rule['alert']}", rule["expr"]


def of_dashboards() -> Iterator[Query]:
    """Give the queries of panels, marks and variables, with Grafana's own times filled in."""
    for path in sorted((ROOM / "dashboards" / "generated").rglob("*.json")):
        board = json.loads(path.read_text())
        for panel in _panels(board):
            for target in panel.get("targets", ()):
                if "expr" in target and target.get("datasource", {}).get("type", "prometheus") == "prometheus":
                    yield f"{path.name}: {panel['title']}", _with_times(target["expr"])
        for mark in board.get("annotations", {}).get("list", ()):
            if "expr" in mark:
                yield f"{path.name}: mark {mark['name']}", _with_times(mark["expr"])
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{path.name}: variable {variable['name']}", _label_values(variable["query"])


def _panels(board: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", ())


def _with_times(expr: str) -> str:
    for name, value in GRAFANAS_TIMES.items():
        expr = expr.replace(name, value)
    return expr


def _label_values(query: Any) -> str:
    """Return label_values(selector, label), which is Grafana's own, as PromQL that reads the same."""
    text = query if isinstance(query, str) else query["query"]
    inside = text.removeprefix("label_values(").removesuffix(")")
    selector, _, label = inside.rpartition(",")
    return f"group by ({label.strip()}) ({selector})"


def of_runbooks() -> Iterator[Query]:
    text = (ROOM / "runbooks.md").read_text()
    for block in re.findall(r"```promql\n(.*?)```", text, re.DOTALL):
        for line in filter(None, block.splitlines()):
            yield "runbooks.md", line


def of_the_autoscaler() -> Iterator[Query]:
    for path in (REPOSITORY / "kubernetes" / "base").glob("*.yaml"):
        for manifest in yaml.safe_load_all(path.read_text()):
            if manifest["kind"] == "ScaledObject":
                for trigger in manifest["spec"]["triggers"]:
                    if trigger["type"] == "prometheus":
                        yield f"ScaledObject {manifest['metadata']['name']}", trigger["metadata"]["query"]


QUERIES = [*of_rules(), *of_dashboards(), *of_runbooks(), *of_the_autoscaler()]

RECORDED = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
TOLD: dict[str, frozenset[str]] = {
    **{foreign.name: frozenset(foreign.labels) | TARGET for foreign in FOREIGN},
    **{
        name: frozenset(label.name for label in metric.labels)
        | TARGET
        | ({"le"} if name.endswith("_bucket") else set())
        for table in (METRICS, WATCHER_METRICS)
        for metric in table
        for name in metric.series_names
    },
}
"""Every series that somebody tells, with the labels that it can have."""


@functools.cache
def labels_of(metric: str) -> frozenset[str]:
    """Return the labels of a series that is told or recorded."""
    if metric in RECORDED:
        return promql.labels_of_answer(RECORDED[metric], labels_of)
    return TOLD[metric]


def named_by_the_judge() -> set[str]:
    """Return every text in the release engine that begins as thale's metrics do."""
    texts = set()
    for path in JUDGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts |= set(re.findall(r"^thale_(?:facade|model|output|shadow)_\w*", node.value))
    return texts


@pytest.mark.parametrize("queries", [of_rules, of_dashboards, of_runbooks, of_the_autoscaler])
def test_a_query_reads_what_somebody_tells_by_labels_that_it_has(queries: Callable[[], Iterator[Query]]) -> None:
    asked = list(queries())
    assert asked
    assert [fault for where, expr in asked for fault in faults(where, expr)] == []


def faults(where: str, expr: str) -> Iterator[str]:
    for read in promql.reads(expr):
        if read.metric not in TOLD and read.metric not in RECORDED:
            yield f"{where}: nobody tells {read.metric}"
        elif unknown := read.labels - labels_of(read.metric):
            yield f"{where}: {read.metric} has no label {sorted(unknown)}"


def test_the_judge_reads_what_facades_tell() -> None:
    families = {metric.name for metric in METRICS}
    for name in named_by_the_judge():
        assert any(family == name or (name.endswith("_") and family.startswith(name)) for family in families), name


def test_everything_that_is_told_is_read_or_has_a_reason_not_to_be() -> None:
    read = {read.metric for _, expr in QUERIES for read in promql.reads(expr)}
    judged = named_by_the_judge()
    unread = set()
    for metric in (*METRICS, *WATCHER_METRICS):
        by_the_judge = any(
            metric.name == name or (name.endswith("_") and metric.name.startswith(name)) for name in judged
        )
        if not by_the_judge and not read & set(metric.series_names):
            unread.add(metric.name)
    assert unread == READ_BY_NOBODY.keys()


def test_every_foreign_metric_that_is_declared_is_read_and_so_is_every_label_of_it() -> None:
    read: dict[str, set[str]] = {}
    for _, expr in QUERIES:
        for one in promql.reads(expr):
            read.setdefault(one.metric, set()).update(one.labels)
    for foreign in FOREIGN:
        assert foreign.name in read, f"nothing reads {foreign.name}"
        assert set(foreign.labels) <= read[foreign.name], f"nothing reads {foreign.labels} of {foreign.name}"


def test_every_recording_rule_is_read_by_an_alert_a_dashboard_or_a_runbook() -> None:
    read = {read.metric for _, expr in QUERIES for read in promql.reads(expr)}
    assert not RECORDED.keys() - read


def test_a_records_name_begins_with_the_labels_that_it_has_beside_the_environment() -> None:
    for record, expr in RECORDED.items():
        level = record.split(":")[0]
        labels = promql.labels_of_answer(expr, labels_of)
        assert "environment" in labels, record
        known = {"volume": {"persistentvolumeclaim"}, "gpu": {"Hostname", "gpu"}, "environment": set()}
        words = known.get(level, set(level.split("_")) - {"environment"})
        assert labels - {"environment", "currency"} == words, record


def test_what_an_alert_says_of_its_labels_is_there() -> None:
    for rule in rules():
        if "alert" in rule:
            has = promql.labels_of_answer(rule["expr"], labels_of) | rule["labels"].keys()
            said = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
            assert said <= has | {"environment"}, f"{rule['alert']}: {sorted(said - has)}"
