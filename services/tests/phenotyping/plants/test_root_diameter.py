"""Tests of root diameters on drawn probability maps with known diameters."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from thale.imaging.geometry import Frame
from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import ProbabilityMaps
from thale.phenotyping.plants.root_diameter import measure_diameters

HEIGHT, WIDTH = 260, 240
PX_PER_MM = 16.0


def line(*points: tuple[float, float]) -> Points:
    return polyline.resample(np.array(points, float))


def drawn_maps(
    *roots: tuple[Points, float], peak: float = 1.0, shoot_HW: NDArray[np.uint8] | None = None
) -> ProbabilityMaps:
    """Return maps in which each root has a diameter (px), and edges that fall from `peak` to 0 over two pixels."""
    rows, cols = np.mgrid[:HEIGHT, :WIDTH]
    root_HW = np.zeros((HEIGHT, WIDTH))
    for points, diameter in roots:
        distance = np.min(np.hypot(cols[..., None] - points[:, 0], rows[..., None] - points[:, 1]), axis=2)
        root_HW = np.maximum(root_HW, peak * np.clip(0.5 + (diameter / 2 - distance) / 2, 0, 1))
    empty = np.zeros((HEIGHT, WIDTH), np.uint8)
    frame = Frame.from_box((0, 0, WIDTH, HEIGHT), 1.0)
    shoot_HW = empty if shoot_HW is None else shoot_HW
    return ProbabilityMaps(np.round(255 * root_HW).astype(np.uint8), shoot_HW, empty, frame, PX_PER_MM)


@pytest.mark.slow
@pytest.mark.parametrize("diameter", [5.3, 7.0, 9.0, 13.0])
@pytest.mark.parametrize("end", [(120.0, 240.0), (200.4, 240.0), (230.0, 60.0)])
def test_measure_diameters_of_straight_root(diameter: float, end: tuple[float, float]) -> None:
    root = line((40.2, 20.0), end)
    assert measure_diameters([root], drawn_maps((root, diameter)))[0] == pytest.approx(diameter, abs=0.15)


@pytest.mark.slow
def test_measure_diameters_does_not_depend_on_an_imprecise_line() -> None:
    root = line((120.0, 20.0), (120.0, 240.0))
    displaced = root + np.array([1.2, 0.0])
    assert measure_diameters([displaced], drawn_maps((root, 6.0)))[0] == pytest.approx(6, abs=0.15)


@pytest.mark.slow
def test_measure_diameters_excludes_junctions() -> None:
    primary = line((120.0, 10.0), (120.0, 250.0))
    lateral = line((120.0, 100.0), (220.0, 160.0))
    found = measure_diameters([primary, lateral], drawn_maps((primary, 8.0), (lateral, 5.0)))
    assert found == pytest.approx([8, 5], abs=0.2)


@pytest.mark.slow
def test_measure_diameters_excludes_a_merged_neighbour() -> None:
    first, second = line((100.0, 10.0), (100.0, 250.0)), line((104.0, 10.0), (104.0, 250.0))
    found = measure_diameters([first, second], drawn_maps((first, 5.0), (second, 5.0)))
    assert all(math.isnan(diameter) for diameter in found)


def test_measure_diameters_excludes_edges_of_a_shoot() -> None:
    root = line((120.0, 10.0), (120.0, 250.0))
    shoot_HW = np.zeros((HEIGHT, WIDTH), np.uint8)
    shoot_HW[:130, :119] = 255
    maps = drawn_maps((root, 8.0), shoot_HW=shoot_HW)
    maps.root_HW[shoot_HW > 0] = 0
    assert measure_diameters([root], maps)[0] == pytest.approx(8, abs=0.2)


@pytest.mark.slow
@pytest.mark.parametrize(("diameter", "factor", "is_known"), [(4.0, 1.0, False), (5.0, 1.0, True), (8.0, 2.0, False)])
def test_measure_diameters_of_thin_root_are_unknown(diameter: float, factor: float, is_known: bool) -> None:
    # Training masks are never thinner than 2.5 px: the width of a thin prediction is that of the mask.
    root = line((120.0, 20.0), (120.0, 240.0))
    maps = drawn_maps((root, diameter))
    maps = replace(maps, frame=Frame.from_box((0, 0, round(WIDTH / factor), round(HEIGHT / factor)), factor))
    assert math.isfinite(measure_diameters([root], maps)[0]) == is_known


@pytest.mark.parametrize(("peak", "length_px"), [(0.45, 220), (1.0, 12)])
def test_measure_diameters_are_unknown_if_faint_or_short(peak: float, length_px: float) -> None:
    root = line((120.0, 10.0), (120.0, 10.0 + length_px))
    assert math.isnan(measure_diameters([root], drawn_maps((root, 6.0), peak=peak))[0])


def test_measure_diameters_without_roots_or_mask() -> None:
    assert measure_diameters([], drawn_maps()) == []
    assert math.isnan(measure_diameters([line((10, 10), (10, 90))], drawn_maps())[0])
