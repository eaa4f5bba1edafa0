"""Metric tables: each metric is declared once, with a name, a help text and bounds."""

from typing import get_args

import pytest
from prometheus_client import REGISTRY, CollectorRegistry

from thale.facade.inference import fallback
from thale.facade.request import stage_timing
from thale.release.controller.decision import Action
from thale.schemas import Verdict
from thale.slo import read_slo
from thale.telemetry import controller_metrics, labels, metrics
from thale.telemetry.metric_table import Label, Metric, MetricTable
from thale.telemetry.server_timing import STEPS

TABLES = (metrics.METRICS, controller_metrics.CONTROLLER_METRICS)
ALL_METRICS = [metric for table in TABLES for metric in table]


def test_metric_tables_contain_every_collector_once() -> None:
    names = {**vars(metrics), **vars(controller_metrics)}
    declared = [value for name, value in names.items() if name.isupper() and hasattr(value, "describe")]
    assert [metric.collector for metric in ALL_METRICS] == [
        value for value in declared if value is not controller_metrics.CONTROLLER_REGISTRY
    ]


def test_counter_starts_at_zero_with_each_label_value() -> None:
    registry = CollectorRegistry()
    outcome = Label.one_of("outcome", "outcome", ("delivered", "failed"))
    table = MetricTable(registry)
    table.counter("thale_test_events", "events", "Events.", outcome, starts_at_zero=True)
    table.counter("thale_test_calls", "calls", "Calls.", outcome)
    assert registry.get_sample_value("thale_test_events_total", {"outcome": "failed"}) == 0
    assert registry.get_sample_value("thale_test_events_total", {"outcome": "delivered"}) == 0
    assert registry.get_sample_value("thale_test_calls_total", {"outcome": "failed"}) is None


@pytest.mark.parametrize(
    ("table", "registry"),
    [(metrics.METRICS, REGISTRY), (controller_metrics.CONTROLLER_METRICS, controller_metrics.CONTROLLER_REGISTRY)],
)
def test_metric_table_uses_the_registry_of_its_process(table: MetricTable, registry: object) -> None:
    assert table.registry is registry
    names = [metric.name for metric in table]
    assert len(names) == len(set(names))
    for metric in table:
        [described] = metric.collector.describe()
        assert (described.name, described.type) == (metric.name, metric.kind)


@pytest.mark.parametrize("metric", ALL_METRICS, ids=lambda metric: metric.name)
def test_metric_has_name_help_unit_and_bounds(metric: Metric) -> None:
    assert metric.name.startswith("thale_")
    assert metric.help.endswith(".")
    assert metric.unit
    assert all(label.help and label.max_values for label in metric.labels)
    assert metric.max_series <= 1024
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_size_classes_and_buckets_match_the_latency_objectives() -> None:
    limits = {limit.up_to_megapixels: limit.p99_s for limit in read_slo().latency}
    assert list(limits) == list(labels.MAX_MEGAPIXELS_BY_SIZE.values())
    assert set(limits.values()) <= set(metrics.SECONDS)


def test_size_class_is_the_smallest_that_contains_the_image() -> None:
    sizes = {megapixels: labels.size_class(megapixels) for megapixels in (0.01, 1.0, 1.01, 16.0, 17.0, None)}
    assert list(sizes.values()) == ["1mp", "1mp", "4mp", "16mp", "larger", "none"]


def test_label_values_match_the_types_in_the_code() -> None:
    listed = {
        labels.OUTCOME: get_args(fallback.Outcome),
        labels.STAGE: get_args(stage_timing.Stage),
        labels.MODEL_STAGE: ("queue", *STEPS),
        labels.VERDICT: get_args(Verdict.model_fields["decision"].annotation),
        labels.ACTION: [action for action in get_args(Action) if action != "wait"],
    }
    for label, known in listed.items():
        assert {*label.values} == {*known}, label.name
    assert {*labels.SHADOW_OUTCOME.values} == {*labels.OUTCOME.values, "dropped"} - {"rejected"}
    assert {*labels.REASON.values} == {"error", "unavailable", "timeout", "invalid_response", "open"}
