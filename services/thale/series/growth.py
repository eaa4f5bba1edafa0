"""Growth rates of traits: between two photographs, and over the whole series by weighted least squares.

The 90 % interval of a difference combines the intervals of both values (MOVER: Zou and Donner 2008, Stat. Med.
27:1693). The weight of a value in the fit is the inverse square of its standard deviation, from its interval. If the
values scatter more than their intervals allow, the interval of the slope grows by the same ratio (Birge 1932, Phys.
Rev. 40:207). A rate is never surer than its values: its quality is the worst of theirs.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from thale.schemas import Flag, TraitValue
from thale.series.schemas import GrowthRate, Quality, Scope

GROWTH_TRAITS = (
    "primary_root_length",
    "total_root_length",
    "lateral_root_length",
    "lateral_root_count",
    "root_system_width",
    "root_system_depth",
    "convex_hull_area",
    "hypocotyl_length",
    "shoot_area",
    "leaf_count",
)
"""Traits that have growth rates, in the order of every table."""

_IRREVERSIBLE = ("primary_root_length", "total_root_length", "lateral_root_length", "lateral_root_count")
"""Traits that cannot decrease: a root that becomes shorter is an error of a measurement or of the identity."""

_RATE_UNITS = {"mm": "mm/day", "mm2": "mm2/day", "1": "1/day"}
_Z_90 = 1.645
_SHRINKAGE_SHARE, _SHRINKAGE_MM = 0.02, 0.5
"""Decrease that is flagged if the values have no interval: lengths are meant to be right within 2 %."""

DOUBTS = frozenset(
    {
        "identity_ambiguous",
        "identity_swap",
        "models_changed",
        "no_plate_edge",
        "path_changed",
        "positions_disagree",
        "scale_inconsistent",
        "scale_unconfirmed",
        "time_of_day_unknown",
    }
)
"""Flags of photographs and identities that make a growth rate uncertain."""

_RANKS: dict[Quality, int] = {"ok": 0, "uncertain": 1, "unknown": 2}


@dataclass(frozen=True)
class TraitAtTime:
    """One value of a trait: photograph, days since the first photograph, and the flags since the previous value."""

    photograph: int
    days: float
    value: TraitValue | None
    flags: tuple[Flag, ...] = ()


def growth_rates(trait: str, values: Sequence[TraitAtTime]) -> list[GrowthRate]:
    """Return the rate between each two consecutive observations, and the rate over the whole series.

    An unknown value gives an unknown rate, so that no interval and no plant is missing from a table.

    Args:
        trait: Name of the trait.
        values: Its values in the order of time. Flags of `DOUBTS` make the rates across them uncertain.
    """
    if len(values) < 2:
        return [unknown_rate(trait, "series", values, values[0].flags)] if values else []
    rates = [_interval_rate(trait, first, second) for first, second in itertools.pairwise(values)]
    return [*rates, _series_rate(trait, values, rates)]


def _interval_rate(trait: str, first: TraitAtTime, second: TraitAtTime) -> GrowthRate:
    days = second.days - first.days
    unit = _rate_unit(first.value, second.value)
    if unit is None or first.value is None or second.value is None:
        return unknown_rate(trait, "interval", (first, second), second.flags)
    old, new = first.value, second.value
    rate = (new.value - old.value) / days
    interval = None
    if old.interval is not None and new.interval is not None:
        down = math.hypot(new.value - new.interval[0], old.interval[1] - old.value)
        up = math.hypot(new.interval[1] - new.value, old.value - old.interval[0])
        interval = (rate - down / days, rate + up / days)
    flags = [*second.flags, *interval_flags(interval), *_shrinkage_flags(trait, old, new, interval)]
    return GrowthRate(
        trait=trait,
        scope="interval",
        first_photograph=first.photograph,
        last_photograph=second.photograph,
        days=days,
        values=2,
        rate=rate,
        interval=interval,
        unit=unit,
        quality=worst_quality((old, new), flags),
        flags=tuple(flags),
    )


def _series_rate(trait: str, values: Sequence[TraitAtTime], rates: Sequence[GrowthRate]) -> GrowthRate:
    known = [item for item in values if item.value is not None and not math.isnan(item.value.value)]
    known_values = [item.value for item in known if item.value is not None]
    unit = _rate_unit(*known_values) if known_values else None
    crossed = [flag for rate in rates for flag in rate.flags if flag.code in DOUBTS | {"root_shrinks"}]
    flags = list({flag.code: flag for flag in crossed}.values())
    if unit is None or len(known) < 2:
        return unknown_rate(trait, "series", values, flags)
    days = np.array([item.days for item in known])
    lengths = np.array([value.value for value in known_values])
    half_widths = [_half_width(value) for value in known_values]
    rate, interval = fit_rate(days, lengths, np.array(half_widths))
    flags += interval_flags(interval)
    if interval is not None and not any(flag.code == "root_shrinks" for flag in flags):
        flags += _shrinkage_flags(trait, known_values[0], known_values[-1], interval)
    return GrowthRate(
        trait=trait,
        scope="series",
        first_photograph=known[0].photograph,
        last_photograph=known[-1].photograph,
        days=float(days[-1] - days[0]),
        values=len(known),
        rate=rate,
        interval=interval,
        unit=unit,
        quality=worst_quality(known_values, flags),
        flags=tuple(flags),
    )


def fit_rate(
    days_N: NDArray[np.float64], values_N: NDArray[np.float64], half_widths_N: NDArray[np.float64]
) -> tuple[float, tuple[float, float] | None]:
    """Return the slope of a line and its 90 % interval, by weighted least squares.

    A value without an interval gets the widest of the others. If no value has one, the weights are equal, and the
    scatter around the line gives the interval. It needs three values.

    Args:
        days_N: Times in days, not all equal.
        values_N: Values.
        half_widths_N: Half widths of the 90 % intervals; NaN if a value has none.
    """
    known = half_widths_N[half_widths_N > 0]
    has_intervals = known.size > 0
    widths = np.where(half_widths_N > 0, half_widths_N, known.max()) if has_intervals else np.ones_like(values_N)
    deviations = widths / _Z_90 if has_intervals else widths
    weights = deviations**-2
    centred = days_N - np.average(days_N, weights=weights)
    information = float((weights * centred**2).sum())
    slope = float((weights * centred * values_N).sum() / information)
    residuals = values_N - np.average(values_N, weights=weights) - slope * centred
    freedom = len(values_N) - 2
    scatter = math.sqrt(float((weights * residuals**2).sum()) / freedom) if freedom else math.nan
    error = 1 / math.sqrt(information)
    if not has_intervals:
        if not freedom:
            return slope, None
        half_width = error * scatter * float(stdtrit(freedom, 0.95))
    elif freedom and scatter > 1:
        half_width = error * max(_Z_90, scatter * float(stdtrit(freedom, 0.95)))
    else:
        half_width = error * _Z_90
    return slope, (slope - half_width, slope + half_width)


def _half_width(value: TraitValue) -> float:
    """Return the larger half of an asymmetric interval; NaN without one."""
    if value.interval is None:
        return math.nan
    return max(value.interval[1] - value.value, value.value - value.interval[0])


def _rate_unit(*values: TraitValue | None) -> str | None:
    """Return the unit of a rate, or None if a value is unknown, in pixels, or in another unit than the others."""
    units = {value.unit if value is not None and not math.isnan(value.value) else "" for value in values}
    return _RATE_UNITS.get(units.pop()) if len(units) == 1 else None


def interval_flags(interval: tuple[float, float] | None) -> list[Flag]:
    """Return `no_interval` for a rate without an interval."""
    if interval is not None:
        return []
    message = "the values have no interval, so the error of their small difference is unknown"
    return [Flag(code="no_interval", message=message)]


def _shrinkage_flags(trait: str, old: TraitValue, new: TraitValue, interval: tuple[float, float] | None) -> list[Flag]:
    if trait not in _IRREVERSIBLE:
        return []
    limit = max(_SHRINKAGE_SHARE * old.value, _SHRINKAGE_MM)
    shrinks = new.value < old.value - limit if interval is None else interval[1] < 0
    if not shrinks:
        return []
    unit = "" if old.unit == "1" else f" {old.unit}"
    excess = "by more than 2 %" if interval is None else "more than the intervals allow"
    message = (
        f"{trait.replace('_', ' ')} decreases from {old.value:.4g} to {new.value:.4g}{unit}, {excess}: a root neither "
        "shrinks nor disappears; compare the overlays"
    )
    return [Flag(code="root_shrinks", message=message)]


def worst_quality(values: Sequence[TraitValue], flags: Sequence[Flag]) -> Quality:
    """Return the quality of a rate: the worst of its values, and at most `uncertain` with a flag that is a doubt."""
    codes = {flag.code for flag in flags}
    own: Quality = "uncertain" if codes & (DOUBTS | {"root_shrinks", "no_interval"}) else "ok"
    return max((own, *(value.quality for value in values)), key=_RANKS.__getitem__)


def unknown_rate(trait: str, scope: Scope, values: Sequence[TraitAtTime], flags: Sequence[Flag]) -> GrowthRate:
    """Return the row of a rate that cannot be computed, with the reason."""
    if len(values) < 2:
        message = "the plant was seen once, so it has no growth"
    elif any(item.value is not None and item.value.unit.startswith(("px", "1/px")) for item in values):
        message = "a value is in pixels: give the scale with --mm-per-px, or photograph the whole plate"
    else:
        message = "a value is unknown: its flags have the reason"
    known = sum(item.value is not None and not math.isnan(item.value.value) for item in values)
    units = [_RATE_UNITS[item.value.unit] for item in values if item.value and item.value.unit in _RATE_UNITS]
    return GrowthRate(
        trait=trait,
        scope=scope,
        first_photograph=values[0].photograph,
        last_photograph=values[-1].photograph,
        days=values[-1].days - values[0].days,
        values=known,
        rate=math.nan,
        unit=units[0] if units else "",
        quality="unknown",
        flags=(*flags, Flag(code="value_unknown", message=message)),
    )
