"""Search for several plates in one image."""

import numpy as np
import pytest

from tests.support.drawn_dishes import blank, draw_dish, draw_roots, photograph
from thale.imaging.calibration import calibrate
from thale.imaging.plate_search import find_plates, plate_side_px
from thale.imaging.reduced_image import reduce_to_grey

SIDES = (470, 490, 480, 500)


def scan(positions: list[tuple[int, int]], width: int, height: int) -> np.ndarray:
    image = blank(width, height)
    for index, (left, top) in enumerate(positions):
        draw_dish(image, left, top, SIDES[index])
        draw_roots(image, left, top, SIDES[index], 2 + index)
    return photograph(image, len(positions))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("positions", "width", "height"),
    [
        ([(40, 45)], 570, 560),
        ([(30, 40), (545, 25)], 1070, 560),
        ([(25, 30), (40, 545)], 570, 1070),
        ([(30, 25), (550, 35), (35, 545), (560, 550)], 1090, 1085),
    ],
    ids=["one", "side by side", "stacked", "two by two"],
)
def test_find_plates_returns_all_in_reading_order(positions: list[tuple[int, int]], width: int, height: int) -> None:
    plates = [square.plate for square in find_plates(reduce_to_grey(scan(positions, width, height)))]
    corners = [(plate.corners[0].x, plate.corners[0].y) for plate in plates]
    assert len(plates) == len(positions)
    for plate, corner, position, side in zip(plates, corners, positions, SIDES, strict=False):
        assert corner == pytest.approx(position, abs=8)
        assert plate_side_px(plate) == pytest.approx(side, rel=0.02)


@pytest.mark.slow
def test_calibrate_measures_the_numbered_plate() -> None:
    image = scan([(30, 40), (545, 25)], 1070, 560)
    first, second = (calibrate(image, plate_number=number) for number in (1, 2))
    assert first.plates == second.plates
    assert (first.plate, second.plate) == first.plates
    assert first.scale.mm_per_px == pytest.approx(120 / 470, rel=0.02)
    assert second.scale.mm_per_px == pytest.approx(120 / 490, rel=0.02)
    assert "several_plates" in [flag.code for flag in first.flags]
