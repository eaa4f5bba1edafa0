"""Static analysis of PromQL: required labels of selectors, and labels of results."""

import pytest

from tests.support import promql

METRIC_LABELS = {
    "requests_total": frozenset({"job", "model", "status"}),
    "seconds_bucket": frozenset({"job", "route", "le"}),
}


@pytest.mark.parametrize(
    ("expr", "required"),
    [
        ('rate(requests_total{status="500"}[5m])', {"status"}),
        ("sum by (model) (rate(requests_total[5m]))", {"model"}),
        ("sum without (model) (requests_total)", set()),
        ("requests_total / on (job) group_left () requests_total", {"job"}),
        ("requests_total unless on (model) requests_total", {"model"}),
        ('label_replace(requests_total, "version", "$1", "model", "(.*)")', {"model"}),
        ('sum by (version) (label_replace(requests_total, "version", "$1", "model", "(.*)"))', {"model"}),
        ("requests_total offset 1h or max_over_time(requests_total[5m:1m])", set()),
    ],
)
def test_find_selectors_returns_required_labels(expr: str, required: set[str]) -> None:
    assert {label for selector in promql.find_selectors(expr) for label in selector.labels} == required


@pytest.mark.parametrize(
    "expr",
    [
        "histogram_quantile(0.9, sum by (route) (seconds_bucket))",
        "max by (model) (sum by (job) (requests_total))",
        "max by (model) (sum(requests_total))",
        "max by (model) (sum without (model) (requests_total))",
        "sum by (job) (requests_total) / on (model) requests_total",
    ],
)
def test_find_selectors_rejects_labels_that_are_aggregated_away(expr: str) -> None:
    with pytest.raises(AssertionError, match=r"aggregated away|has no labels"):
        list(promql.find_selectors(expr))


@pytest.mark.parametrize(
    ("expr", "labels"),
    [
        ("rate(requests_total[5m])", {"job", "model", "status"}),
        ("sum by (model) (requests_total) > 0", {"model"}),
        ("sum(requests_total)", set()),
        ("histogram_quantile(0.9, seconds_bucket)", {"job", "route"}),
        ("1 - sum by (job) (requests_total) / 2", {"job"}),
        ("sum by (job, model) (requests_total) or sum by (job) (requests_total)", {"job"}),
        ('label_replace(sum by (job) (requests_total), "model", "x", "", "")', {"job", "model"}),
        ("time() - max by (job) (requests_total)", {"job"}),
    ],
)
def test_result_labels_follow_prometheus_rules(expr: str, labels: set[str]) -> None:
    assert promql.result_labels(expr, METRIC_LABELS.__getitem__) == labels
