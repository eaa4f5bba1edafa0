"""Positions of a phenotype that was measured in a turned image."""

import numpy as np
import pytest

from tests.support.sample_phenotypes import image_metadata, phenotype, seedling
from thale.phenotyping.plates import merge_plates
from thale.phenotyping.rotation import rotate_to_original
from thale.schemas import Flag, Point

WIDTH, HEIGHT = 400, 300


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_rotate_to_original_finds_the_same_pixels(rotate: int) -> None:
    original_HW = np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH)
    turned_HW = np.rot90(original_HW, -rotate // 90)
    flag = Flag(code="crossing", message="here", at=Point(x=100, y=60))
    turned = merge_plates([phenotype(seedling(1, 100), image=image_metadata(), flags=(flag,))])
    moved = rotate_to_original(turned.model_copy(update={"rotate": rotate}))

    def pixels(points: list[tuple[float, float]], image_HW: np.ndarray) -> list[int]:
        return [int(image_HW[round(y), round(x)]) for x, y in points]

    before, after = turned.plants[0], moved.plants[0]
    for old, new in zip(before.roots, after.roots, strict=True):
        assert pixels(list(new.points), original_HW) == pixels(list(old.points), turned_HW)
    landmarks = [[(landmark.x, landmark.y) for landmark in plant.landmarks] for plant in (before, after)]
    assert pixels(landmarks[1], original_HW) == pixels(landmarks[0], turned_HW)
    polygons = [plant.organs[0].polygons[0] for plant in (before, after)]
    corners = [list(zip(polygon[::2], polygon[1::2], strict=True)) for polygon in polygons]
    assert pixels(corners[1], original_HW) == pixels(corners[0], turned_HW)
    positions = [[(f.at.x, f.at.y) for f in each.flags if f.at] for each in (turned, moved)]
    assert pixels(positions[1], original_HW) == pixels(positions[0], turned_HW)


def test_rotate_to_original_keeps_traits_and_moves_the_plate() -> None:
    turned = merge_plates([phenotype(seedling(1, 100))]).model_copy(update={"rotate": 180})
    moved = rotate_to_original(turned)
    assert [t.value for t in moved.plants[0].traits[:5]] == [t.value for t in turned.plants[0].traits[:5]]
    assert moved.plate is not None
    assert moved.plate.corners[0] == Point(x=389, y=289)
    assert moved.plates[0].plate == moved.plate


def test_rotate_to_original_changes_nothing_without_a_turn() -> None:
    measured = phenotype(seedling(1))
    assert rotate_to_original(measured) is measured
