import math

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.skeleton_drawings import characters, drawing_maps
from thale.imaging.geometry import Frame
from thale.phenotyping.plants.organs import ORGAN_TERMS, build_organ
from thale.schemas import Organ, OrganKind, Scale

KNOWN_SCALE = Scale(mm_per_px=0.1, source="given")
SQUARE = """
    ........
    ..@@@@..
    ..@@@@..
    ..@@@@..
    ........
"""


def pixels_of(drawing: str, letter: str) -> NDArray[np.int64]:
    return np.argwhere(characters(drawing) == letter)


def shoot_of(drawing: str, scale: Scale = KNOWN_SCALE, frame: Frame | None = None) -> Organ:
    return build_organ("shoot", pixels_of(drawing, "@"), drawing_maps(drawing, frame=frame), scale)


def outline_area(polygon: tuple[float, ...]) -> float:
    x, y = np.array(polygon).reshape(-1, 2).T
    return abs(float(np.sum(x * np.roll(y, 1) - y * np.roll(x, 1)))) / 2


def test_organ_area_counts_pixels() -> None:
    shoot = shoot_of(SQUARE)
    assert shoot.area_px == 12
    assert shoot.area_mm2 == pytest.approx(0.12)


def test_organ_area_is_in_source_pixels() -> None:
    half = Frame(x0=100, y0=50, source_width=16, source_height=10, width=8, height=5)
    shoot = shoot_of(SQUARE, frame=half)
    assert shoot.area_px == pytest.approx(48)  # a frame pixel is 2 x 2 source pixels
    (polygon,) = shoot.polygons
    x, y = np.array(polygon).reshape(-1, 2).T
    assert (x.min(), x.max()) == pytest.approx((103.5, 111.5), abs=1.01)
    assert (y.min(), y.max()) == pytest.approx((51.5, 57.5), abs=1.01)


def test_organ_area_in_mm_is_nan_when_scale_is_unknown() -> None:
    shoot = shoot_of(SQUARE, Scale(mm_per_px=math.nan, source="none"))
    assert math.isnan(shoot.area_mm2)
    assert shoot.area_px == 12


@pytest.mark.parametrize(
    ("kind", "letter", "confidence"), [("root", "#", 1.0), ("root", "6", 0.6), ("shoot", "@", 1.0), ("seed", "o", 1.0)]
)
def test_organ_confidence_is_mean_probability_of_its_class(kind: OrganKind, letter: str, confidence: float) -> None:
    drawing = "..##..\n..66..\n..@@..\n..oo.."
    organ = build_organ(kind, pixels_of(drawing, letter), drawing_maps(drawing), KNOWN_SCALE)
    assert organ.confidence == pytest.approx(confidence, abs=0.01)
    assert (organ.kind, organ.ontology_id) == (kind, ORGAN_TERMS[kind])


def test_organ_outline_is_half_a_pixel_outside() -> None:
    (polygon,) = shoot_of(SQUARE).polygons
    x, y = np.array(polygon).reshape(-1, 2).T
    assert (x.min(), x.max()) == pytest.approx((1.5, 5.5), abs=0.51)  # simplification cuts corners
    assert (y.min(), y.max()) == pytest.approx((0.5, 3.5), abs=0.51)


def test_organ_outlines_each_component_and_no_hole() -> None:
    shoot = shoot_of(
        """
        @@@@@@@..@@@@
        @@@@@@@..@@@@
        @@...@@..@@@@
        @@...@@......
        @@...@@......
        @@@@@@@......
        @@@@@@@......
        """
    )
    assert shoot.area_px == 40 + 12
    assert sorted(outline_area(polygon) for polygon in shoot.polygons) == pytest.approx([12, 49], rel=0.3)


def test_organ_joins_pixels_that_touch_at_a_corner() -> None:
    shoot = shoot_of(
        """
        @@@.....
        @@@.....
        @@@.....
        ...@@@..
        ...@@@..
        ...@@@..
        """
    )
    assert len(shoot.polygons) == 1
