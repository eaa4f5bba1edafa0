"""Sums of the metrics of two observation windows, and quantiles of a card's references."""

import pytest

from thale.monitoring.histogram import Histogram
from thale.release.judge.checks import _count_outside, _quantile
from thale.release.judge.sequential_tests import Counts, _unstarted_weight
from thale.release.judge.version_metrics import ComparisonWindow, VersionMetrics

EARLIER = VersionMetrics(
    requests={"ok": 5, "error": 1},
    fallbacks={"open": 2},
    shadow_requests={"ok": 7},
    scale_sources={"plate": 3},
    plates=11,
    empty=5,
    nan=3,
    breakers_open=2,
    histograms={"score": Histogram((0.5, 1.0), (1, 2, 0))},
)
LATER = VersionMetrics(
    requests={"ok": 3, "timeout": 4},
    fallbacks={"open": 3},
    shadow_requests={"ok": 1, "dropped": 6},
    scale_sources={"given": 2},
    plates=3,
    empty=1,
    nan=2,
    breakers_open=1,
    histograms={"score": Histogram((0.5, 1.0), (4, 0, 1)), "seconds": Histogram((1.0,), (2, 0))},
)
SUM = VersionMetrics(
    requests={"ok": 8, "error": 1, "timeout": 4},
    fallbacks={"open": 5},
    shadow_requests={"ok": 8, "dropped": 6},
    scale_sources={"plate": 3, "given": 2},
    plates=14,
    empty=6,
    nan=5,
    breakers_open=1,
    histograms={"score": Histogram((0.5, 1.0), (5, 2, 1)), "seconds": Histogram((1.0,), (2, 0))},
)


def test_merge_adds_counts_and_keeps_the_last_breakers() -> None:
    assert EARLIER.merge(LATER) == SUM


def test_comparison_window_merges_each_version_with_itself() -> None:
    window = ComparisonWindow(canary=EARLIER, stable=LATER).merge(ComparisonWindow(canary=LATER))
    assert window == ComparisonWindow(canary=SUM, stable=LATER.merge(VersionMetrics()))


@pytest.mark.parametrize(
    ("level", "value"), [(0, 2), (0.125, 3), (0.25, 4), (0.5, 10), (0.75, 20), (0.9, 68), (1, 100)]
)
def test_quantile_is_interpolated_between_uneven_steps(level: float, value: float) -> None:
    assert _quantile((2, 4, 10, 20, 100), level) == pytest.approx(value)


def test_outputs_are_counted_on_both_sides_of_the_reference() -> None:
    """The reference is 0 to 100 in even steps. A small and a large value are outside, and those between are not."""
    reference = tuple(float(level) for level in range(101))
    edges = (0.1, 10.0, 50.0, 90.0, 99.9)
    assert _count_outside(Histogram(edges, (3, 0, 0, 0, 0, 0)), reference) == Counts(3, 3)
    assert _count_outside(Histogram(edges, (0, 5, 7, 2, 4, 0)), reference).bad == 0
    assert _count_outside(Histogram(edges, (1, 2, 4, 8, 16, 32)), reference) == Counts(33, 63)
    assert _count_outside(None, reference) == Counts(0, 0)


def test_prior_weight_of_a_late_regression_decreases() -> None:
    weights = [_unstarted_weight(blocks) for blocks in range(5)]
    assert weights[:2] == [1.0, 0.5]
    assert weights[1:] == sorted(weights[1:], reverse=True)
    assert min(weights) > 0
