"""Tests of insertion angles on drawn lines with known angles."""

import math

import numpy as np
import pytest

from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.insertion_angle import insertion_angles
from thale.phenotyping.plants.polyline import Points

PX_PER_MM = 16.0


def line(*points: tuple[float, float]) -> Points:
    return polyline.resample(np.array(points, float))


def lateral_at(angle_deg: float, length_px: float, origin: tuple[float, float] = (100, 200)) -> Points:
    """Return a straight lateral at an angle to a primary root that grows straight down."""
    turn = math.radians(angle_deg)
    return line(origin, (origin[0] + length_px * math.sin(turn), origin[1] + length_px * math.cos(turn)))


@pytest.mark.parametrize("angle_deg", [15.0, 60.0, 90.0, 120.0])
def test_insertion_angle_of_straight_roots(angle_deg: float) -> None:
    primary = line((100, 0), (100, 400))
    angles = insertion_angles([primary, lateral_at(angle_deg, 80)], [None, 0], PX_PER_MM)
    assert math.isnan(angles[0])
    assert angles[1] == pytest.approx(angle_deg, abs=0.01)


def test_insertion_angle_is_relative_to_the_parent() -> None:
    primary = line((0, 0), (400, 400))
    lateral = line((200, 200), (200, 300))
    assert insertion_angles([primary, lateral], [None, 0], PX_PER_MM)[1] == pytest.approx(45, abs=0.1)


def test_insertion_angle_ignores_the_bend_beyond_two_mm() -> None:
    primary = line((100, 0), (100, 400))
    bent = line((100, 200), (140, 200), (140, 400))
    assert insertion_angles([primary, bent], [None, 0], PX_PER_MM)[1] == pytest.approx(90, abs=0.1)


@pytest.mark.parametrize(
    "lateral", [lateral_at(60, 0.9 * PX_PER_MM), lateral_at(60, 80, origin=(100 + PX_PER_MM, 200)), np.zeros((1, 2))]
)
def test_insertion_angle_is_unknown_if_short_or_detached(lateral: Points) -> None:
    primary = line((100, 0), (100, 400))
    assert math.isnan(insertion_angles([primary, lateral], [None, 0], PX_PER_MM)[1])
