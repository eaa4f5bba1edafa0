"""Tests of growth rates and their intervals."""

import math

import numpy as np
import pytest

from thale.schemas import Flag, TraitValue
from thale.series.growth import TraitAtTime, fit_rate, growth_rates


def value(
    length: float, half_width: float | None = 0.3, quality: str = "ok", unit: str = "mm", trait: str = "t"
) -> TraitValue:
    interval = None if half_width is None else (length - half_width, length + half_width)
    return TraitValue(trait=trait, value=length, interval=interval, unit=unit, ontology_id=None, quality=quality)


def at_days(
    *values: TraitValue | None, days: tuple[float, ...] = (), flags: tuple[Flag, ...] = ()
) -> list[TraitAtTime]:
    times = days or tuple(float(day) for day in range(len(values)))
    return [TraitAtTime(index, times[index], item, flags if index else ()) for index, item in enumerate(values)]


def test_growth_rates_of_linear_growth() -> None:
    *steps, series = growth_rates("primary_root_length", at_days(value(10), value(13), value(19), days=(0, 0.5, 1.5)))
    assert [rate.rate for rate in steps] == pytest.approx([6, 6])
    assert (series.rate, series.unit, series.values) == (pytest.approx(6), "mm/day", 3)
    assert {rate.quality for rate in (*steps, series)} == {"ok"}
    assert steps[0].interval == pytest.approx((6 - 2 * 0.3 * math.sqrt(2), 6 + 2 * 0.3 * math.sqrt(2)))


def test_interval_rate_combines_asymmetric_intervals() -> None:
    old = value(10).model_copy(update={"interval": (9.0, 10.1)})
    new = value(15).model_copy(update={"interval": (14.8, 18.0)})
    rate = growth_rates("t", at_days(old, new))[0]
    assert rate.interval == pytest.approx((5 - math.hypot(0.2, 0.1), 5 + math.hypot(3.0, 1.0)))


def test_fit_rate_weights_values_by_their_intervals() -> None:
    days, lengths = np.array([0.0, 1.0, 2.0]), np.array([0.0, 5.0, 30.0])
    slope, _ = fit_rate(days, lengths, np.array([0.1, 0.1, 100.0]))
    assert slope == pytest.approx(5, abs=0.01)


def test_fit_rate_interval_grows_with_scatter() -> None:
    days, widths = np.arange(4.0), np.full(4, 0.1)
    _, smooth = fit_rate(days, 5 * days, widths)
    _, scattered = fit_rate(days, 5 * days + np.array([1, -1, -1, 1]), widths)
    assert smooth is not None
    assert scattered is not None
    assert smooth[1] - smooth[0] == pytest.approx(2 * 0.1 / math.sqrt(5))
    assert scattered[1] - scattered[0] > 10 * (smooth[1] - smooth[0])


def test_fit_rate_covers_truth_in_nine_of_ten() -> None:
    generator = np.random.default_rng(1)
    days, deviation = np.array([0.0, 0.7, 1.0, 2.2, 3.0]), np.array([0.2, 0.4, 0.2, 0.6, 0.3])
    hits = 0
    for _ in range(1000):
        _, interval = fit_rate(days, 5 * days + generator.normal(0, deviation), 1.645 * deviation)
        assert interval is not None
        hits += interval[0] <= 5 <= interval[1]
    assert 870 <= hits <= 960


def test_rate_is_uncertain_without_intervals() -> None:
    rates = growth_rates("t", at_days(value(10, None), value(15, None)))
    assert {rate.interval for rate in rates} == {None}
    assert {rate.quality for rate in rates} == {"uncertain"}
    assert {flag.code for rate in rates for flag in rate.flags} == {"no_interval"}


def test_rate_has_worst_quality_of_its_values() -> None:
    *steps, series = growth_rates("t", at_days(value(10), value(15, quality="uncertain"), value(20), value(25)))
    assert [rate.quality for rate in steps] == ["uncertain", "uncertain", "ok"]
    assert series.quality == "uncertain"


def test_rate_is_unknown_with_unknown_value() -> None:
    unknown = value(math.nan, None, "unknown")
    *steps, series = growth_rates("t", at_days(value(10), unknown, value(20)))
    assert [math.isnan(rate.rate) for rate in steps] == [True, True]
    assert {rate.quality for rate in steps} == {"unknown"}
    assert (series.rate, series.values, series.quality) == (pytest.approx(5), 2, "ok")


def test_rate_in_pixels_is_unknown() -> None:
    rates = growth_rates("t", at_days(value(100, unit="px"), value(12)))
    assert [math.isnan(rate.rate) for rate in rates] == [True, True]
    assert "--mm-per-px" in rates[0].flags[0].message


def test_shrinking_root_is_flagged_beyond_intervals() -> None:
    shrinking = growth_rates("primary_root_length", at_days(value(20), value(19)))
    assert [(rate.quality, rate.flags[0].code) for rate in shrinking] == [("uncertain", "root_shrinks")] * 2
    within = growth_rates("primary_root_length", at_days(value(20, 1.0), value(19, 1.0)))
    assert [(round(rate.rate, 9), rate.quality, rate.flags) for rate in within] == [(-1.0, "ok", ())] * 2
    depth = growth_rates("root_system_width", at_days(value(20), value(19)))
    assert {rate.quality for rate in depth} == {"ok"}


def test_shrinking_root_is_flagged_without_intervals() -> None:
    rates = growth_rates("primary_root_length", at_days(value(20, None), value(19, None)))
    assert "root_shrinks" in {flag.code for flag in rates[0].flags}


def test_slow_shrinkage_is_flagged_over_series() -> None:
    *steps, series = growth_rates("primary_root_length", at_days(*(value(20 - 0.3 * day) for day in range(6))))
    assert {rate.flags for rate in steps} == {()}
    assert (series.quality, [flag.code for flag in series.flags]) == ("uncertain", ["root_shrinks"])


def test_doubt_makes_rate_uncertain() -> None:
    doubt = Flag(code="identity_swap", message="m")
    rates = growth_rates("t", at_days(value(10), value(15), flags=(doubt,)))
    assert {rate.quality for rate in rates} == {"uncertain"}
    remark = Flag(code="scale_changed", message="m")
    assert {rate.quality for rate in growth_rates("t", at_days(value(10), value(15), flags=(remark,)))} == {"ok"}


def test_growth_rate_of_one_value_is_unknown() -> None:
    [rate] = growth_rates("t", at_days(value(10)))
    assert (math.isnan(rate.rate), rate.scope, rate.values, rate.quality) == (True, "series", 1, "unknown")
    assert rate.flags[0].message == "the plant was seen once, so it has no growth"
