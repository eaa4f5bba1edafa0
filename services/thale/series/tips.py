"""Movement of primary tips on the plate, in millimetres per day.

The displacement is the straight distance between two positions of a tip. It differs from the growth of the primary
root, which follows the path.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thale.schemas import Flag, TraitValue
from thale.series.growth import TraitAtTime, interval_flags, unknown_rate, worst_quality
from thale.series.registration import RegisteredPlant
from thale.series.schemas import GrowthRate, Scope

TIP_DISPLACEMENT = "primary_tip_displacement"


def tip_displacement_rates(lengths: Sequence[TraitAtTime], plants: Sequence[RegisteredPlant]) -> list[GrowthRate]:
    """Return the displacement per day between consecutive observations, and between the first and the last one.

    Args:
        lengths: Length of the primary root at each observation. Its quality is that of the tip.
        plants: The plant at each observation.
    """
    if len(plants) < 2 or all(plant.path_N2_mm is None for plant in plants):
        return []
    rates = [
        _rate("interval", lengths[index : index + 2], plants[index], plants[index + 1])
        for index in range(len(plants) - 1)
    ]
    rooted = [index for index, plant in enumerate(plants) if plant.path_N2_mm is not None]
    first, last = rooted[0], rooted[-1]
    return [*rates, _rate("series", lengths[first : last + 1], plants[first], plants[last])]


def _rate(scope: Scope, lengths: Sequence[TraitAtTime], first: RegisteredPlant, last: RegisteredPlant) -> GrowthRate:
    flags = list({flag.code: flag for item in lengths[1:] for flag in item.flags}.values())
    values = [item.value for item in (lengths[0], lengths[-1]) if item.value is not None]
    days = lengths[-1].days - lengths[0].days
    if first.path_N2_mm is None or last.path_N2_mm is None or len(values) < 2 or days <= 0:
        return unknown_rate(TIP_DISPLACEMENT, scope, lengths, flags)
    step = last.path_N2_mm[-1] - first.path_N2_mm[-1]
    distance = float(np.hypot(*step))
    half_width = _half_width(first, last, step / distance if distance else np.array([0.0, 1.0]))
    interval = None
    if not math.isnan(half_width):
        interval = (max(0.0, distance - half_width) / days, (distance + half_width) / days)
    found: list[Flag] = [*flags, *interval_flags(interval)]
    return GrowthRate(
        trait=TIP_DISPLACEMENT,
        scope=scope,
        first_photograph=lengths[0].photograph,
        last_photograph=lengths[-1].photograph,
        days=days,
        values=2,
        rate=distance / days,
        interval=interval,
        unit="mm/day",
        quality=worst_quality(values, found),
        flags=tuple(found),
    )


def _half_width(first: RegisteredPlant, last: RegisteredPlant, direction: NDArray[np.float64]) -> float:
    """Return the half width of the 90 % interval along the direction, from the intervals of the tips' coordinates."""
    squares = 0.0
    for plant in (first, last):
        for axis, name in enumerate(("primary_tip_x", "primary_tip_y")):
            squares += float(direction[axis]) ** 2 * _interval_half(plant.traits.get(name)) ** 2
    return math.sqrt(squares)


def _interval_half(value: TraitValue | None) -> float:
    if value is None or value.interval is None:
        return math.nan
    return max(value.interval[1] - value.value, value.value - value.interval[0])
