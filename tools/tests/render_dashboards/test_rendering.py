"""Rendering of dashboards: Grafana's units, threshold colours, variables and gaps."""

import numpy as np
import pytest

from tools.render_dashboards import theme
from tools.render_dashboards.plots import join_gaps
from tools.render_dashboards.queries import Period, QueryError, Series, interpolate
from tools.render_dashboards.units import format_value


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.9987, "percentunit", "99.9%"),
        (0.0, "percentunit", "0%"),
        (0.0124, "s", "12.4 ms"),
        (75.0, "s", "1.25 min"),
        (0.0, "s", "0 s"),
        (1234.5, "reqps", "1,234 req/s"),
        (91_900_000.0, "decbytes", "91.9 MB"),
        (2048.0, "Bps", "2.05 kB/s"),
        (12_345.0, "short", "12.3 K"),
        (3.0, "suffix: / h", "3 / h"),
        (1.0, "bool", "yes"),
        (float("nan"), "s", "-"),
        (float("inf"), "s", "-"),
    ],
)
def test_format_value_follows_grafana(value: float, unit: str, text: str) -> None:
    assert format_value(value, unit) == text


def test_format_value_uses_given_decimals() -> None:
    assert format_value(1.0, "percentunit", 3) == "100.000%"
    assert format_value(2.6, "suffix: waiting", 0) == "3 waiting"


def test_format_value_names_the_module_for_an_unknown_unit() -> None:
    with pytest.raises(ValueError, match=r"render_dashboards/units\.py"):
        format_value(1.0, "furlongs")


def test_threshold_colour_is_that_of_the_highest_one_reached() -> None:
    steps = [(None, "green"), (1.0, "yellow"), (5.0, "red")]
    assert [theme.threshold_colour(value, steps) for value in (0.0, 1.0, 4.9, 5.0)] == [
        theme.NAMED_COLOURS[name] for name in ("green", "yellow", "yellow", "red")
    ]


def test_interpolate_selects_all_values_of_variables() -> None:
    period = Period(0, 600, 5)
    query = 'rate(a{environment=~"$environment",version=~"${version}"}[$__rate_interval])'
    assert interpolate(query, period) == 'rate(a{environment=~".*",version=~".*"}[20s])'
    with pytest.raises(QueryError, match="unknown variable region"):
        interpolate('a{region="$region"}', period)


def test_join_gaps_interpolates_short_gaps_only() -> None:
    period = Period(0, 80, 10)
    values_T = np.array([0.0, np.nan, 2.0, np.nan, np.nan, np.nan, np.nan, 5.0, np.nan])
    np.testing.assert_array_equal(join_gaps(values_T, period, 30_000), [0, 1, 2, *[np.nan] * 4, 5, np.nan])


def test_series_without_finite_values_has_no_values() -> None:
    times_T = np.arange(2.0)
    assert not Series("", {}, times_T, np.full(2, np.nan)).has_values()
    assert Series("", {}, times_T, np.array([np.nan, 1.0])).has_values()
