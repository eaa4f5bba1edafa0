"""The reader of queries finds what it is there to find."""

import pytest

from tests.support import promql

METRIC_LABELS = {
    "asked_total": frozenset({"job", "model", "status"}),
    "seconds_bucket": frozenset({"job", "route", "le"}),
}


@pytest.mark.parametrize(
    ("expr", "read"),
    [
        ('rate(asked_total{status="500"}[5m])', {"status"}),
        ("sum by (model) (rate(asked_total[5m]))", {"model"}),
        ("sum without (model) (asked_total)", set()),
        ("asked_total / on (job) group_left () asked_total", {"job"}),
        ("asked_total unless on (model) asked_total", {"model"}),
        ('label_replace(asked_total, "version", "$1", "model", "(.*)")', {"model"}),
        ('sum by (version) (label_replace(asked_total, "version", "$1", "model", "(.*)"))', {"model"}),
        ("asked_total offset 1h or max_over_time(asked_total[5m:1m])", set()),
    ],
)
def test_every_label_that_an_expression_counts_on_is_seen(expr: str, read: set[str]) -> None:
    assert {label for one in promql.find_selectors(expr) for label in one.labels} == read


@pytest.mark.parametrize(
    "expr",
    [
        "histogram_quantile(0.9, sum by (route) (seconds_bucket))",
        "max by (model) (sum by (job) (asked_total))",
        "max by (model) (sum(asked_total))",
        "max by (model) (sum without (model) (asked_total))",
        "sum by (job) (asked_total) / on (model) asked_total",
    ],
)
def test_a_label_that_was_aggregated_away_is_not_to_be_had(expr: str) -> None:
    with pytest.raises(AssertionError, match=r"aggregated away|has no labels"):
        list(promql.find_selectors(expr))


@pytest.mark.parametrize(
    ("expr", "labels"),
    [
        ("rate(asked_total[5m])", {"job", "model", "status"}),
        ("sum by (model) (asked_total) > 0", {"model"}),
        ("sum(asked_total)", set()),
        ("histogram_quantile(0.9, seconds_bucket)", {"job", "route"}),
        ("1 - sum by (job) (asked_total) / 2", {"job"}),
        ("sum by (job, model) (asked_total) or sum by (job) (asked_total)", {"job"}),
        ('label_replace(sum by (job) (asked_total), "model", "x", "", "")', {"job", "model"}),
        ("time() - max by (job) (asked_total)", {"job"}),
    ],
)
def test_the_answers_labels_are_known_beforehand(expr: str, labels: set[str]) -> None:
    assert promql.result_labels(expr, METRIC_LABELS.__getitem__) == labels
