"""Tests of the evidence that a seed-like object is a seed, on drawn specks at 20 px per mm."""

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.draw import ellipse

from tests.support.skeleton_drawings import same_frame
from thale.phenotyping.plants.plant_detection import detect_plants
from thale.phenotyping.plants.probability_maps import ProbabilityMaps
from thale.phenotyping.plants.seed_evidence import seed_doubt
from thale.phenotyping.plants.skeleton_graph import RootGraph


def speck(length_px: int, width_px: int, level: int = 255, y_px: int = 20) -> ProbabilityMaps:
    """Return maps with one speck at 20 px per mm, and no root."""
    height, width = 1000, 100
    seed_HW = np.zeros((height, width), np.uint8)
    rows, cols = ellipse(y_px, 50, width_px / 2, length_px / 2, shape=seed_HW.shape)
    seed_HW[rows, cols] = level
    empty_HW = np.zeros_like(seed_HW)
    return ProbabilityMaps(empty_HW, empty_HW, seed_HW, same_frame(height, width), 20.0)


def doubt(maps: ProbabilityMaps, *rows_y: float) -> str | None:
    pixels: NDArray[np.int64] = np.argwhere(maps.seed_HW > 0)
    return seed_doubt(pixels, rows_y, maps)


@pytest.mark.parametrize(
    ("length_px", "width_px", "level", "reason"),
    [
        (10, 6, 255, None),  # 0.5 x 0.3 mm
        (8, 6, 190, None),  # 0.4 x 0.3 mm, less certain
        (6, 6, 255, "too small"),  # dust of 0.3 mm
        (14, 4, 255, "too small"),  # a fibre of 0.7 x 0.2 mm
        (2, 2, 255, "too small"),
        (10, 6, 150, "too faint"),
    ],
)
def test_speck_is_seed_by_size_and_probability(length_px: int, width_px: int, level: int, reason: str | None) -> None:
    found = doubt(speck(length_px, width_px, level))
    assert found is None if reason is None else found is not None and reason in found


@pytest.mark.parametrize(("y_px", "is_seed"), [(500, True), (730, True), (750, False), (270, True), (250, False)])
def test_seed_is_within_12_mm_of_height_of_a_plant(y_px: int, is_seed: bool) -> None:
    assert (doubt(speck(10, 6, y_px=y_px), 500.0) is None) == is_seed
    assert doubt(speck(10, 6, y_px=y_px), 500.0, float(y_px)) is None


def test_rejected_speck_is_flagged_and_no_plant() -> None:
    for maps, expected in ((speck(10, 6), []), (speck(6, 6), ["stray_seed"])):
        plants, flags = detect_plants(maps, RootGraph(maps), [], {})
        assert [flag.code for flag in flags] == expected
        assert len(plants) == 1 - len(expected)
