"""Points of Catmull-Rom curves of RootNav."""

import pytest

from thale.exports.rsml.spline import SPACING_PX, catmull_rom


def test_curve_passes_through_its_control_points_in_order() -> None:
    control = ((0.0, 0.0), (10.0, 0.0), (20.0, 10.0), (20.0, 20.0))
    points = catmull_rom(control)
    assert [points.index(point) for point in control] == [0, 3, 7, 10]
    # Half way from the second to the third: (9 (p1 + p2) - p0 - p3) / 16.
    assert points[5] == (15.625, 4.375)


def test_curve_of_a_straight_line_is_straight_and_even() -> None:
    points = catmull_rom(tuple((0.0, 40.0 * step) for step in range(4)))
    assert {x for x, _ in points} == {0.0}
    inner = [y for _, y in points if 40 <= y <= 80]
    assert inner == pytest.approx([40 + SPACING_PX * step for step in range(11)])


def test_curve_has_up_to_64_points_for_one_step() -> None:
    assert len(catmull_rom(((0.0, 0.0), (0.0, 5000.0), (0.0, 10000.0)))) == 1 + 2 * 64


@pytest.mark.parametrize("control", [(), ((1.0, 2.0),), ((1.0, 2.0), (300.0, 4.0))])
def test_short_curve_is_unchanged(control: tuple[tuple[float, float], ...]) -> None:
    assert catmull_rom(control) == control
