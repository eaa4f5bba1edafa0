import numpy as np
import pytest

from tests.support.sample_plates import MODEL
from tests.support.skeleton_drawings import characters, same_frame
from thale.models.predictions import SegmentationMeta, SegmentationPrediction
from thale.phenotyping.plants.reconstruct import PlateReconstruction, reconstruct_plants
from thale.schemas import Calibration, Landmark, LandmarkKind, Root, Scale

MM_PX = 8
"""Pixels per millimetre. Each character of a drawing is half a millimetre: 4 px."""


def landmark(kind: LandmarkKind, column: int, row: int) -> Landmark:
    return Landmark(kind=kind, x=column * 4 + 1.5, y=row * 4 + 1.5, score=0.9)


def reconstruct(drawing: str, *landmarks: Landmark, expected: int | None = None) -> PlateReconstruction:
    squares_HW = np.kron(characters(drawing).view(np.uint32).reshape(characters(drawing).shape), np.ones((4, 4), int))
    probabilities_3HW = np.stack([np.where(squares_HW == ord(letter), 255, 0).astype(np.uint8) for letter in "#@o"])
    meta = SegmentationMeta(
        model=MODEL,
        classes=("background", "root", "shoot", "seed"),
        frame=same_frame(*squares_HW.shape),
        calibration=Calibration(scale=Scale(mm_per_px=1 / MM_PX, source="given")),
    )
    return reconstruct_plants(SegmentationPrediction(meta, probabilities_3HW), landmarks, expected)


LATERALS_ON_BOTH_SIDES = """
    ..........................
    ..........@@@@............
    ...........#..............
    ...........#..............
    ...........#..............
    ...........#..............
    ...########...............
    ...........#..............
    ...........#..............
    ...........#..............
    ...........###########....
    ...........#..............
    ...........#..............
    ...........#..............
    ...........#..............
    ...........#..............
    ..........................
"""


def test_reconstruct_numbers_laterals_down_the_primary() -> None:
    reconstruction = reconstruct(
        LATERALS_ON_BOTH_SIDES,
        landmark("root_base", 11, 1),
        landmark("primary_tip", 11, 15),
        landmark("lateral_tip", 21, 10),
        landmark("lateral_tip", 3, 6),
    )
    (plant,) = reconstruction.plants
    roots: tuple[Root, ...] = plant.roots
    assert [(root.id, root.parent, root.order) for root in roots] == [("1", None, 1), ("1.1", "1", 2), ("1.2", "1", 2)]
    assert [root.points[-1][0] < 44 for root in roots[1:]] == [True, False]  # the left lateral is the upper one
    assert roots[0].points[0] == pytest.approx((45.5, 5.5), abs=0.1)  # the base, half a millimetre above the root
    # 14 characters down from the base (7 mm), 8 to the left (4 mm) and 10 to the right (5 mm).
    assert [root.length_px / MM_PX for root in roots] == pytest.approx([7, 4, 5], abs=0.3)
    assert len(plant.landmarks) == 4
    assert (reconstruction.flags, reconstruction.unassigned_px) == ((), 0)


def test_reconstruct_flags_lateral_without_landmark() -> None:
    reconstruction = reconstruct(
        LATERALS_ON_BOTH_SIDES,
        landmark("root_base", 11, 2),
        landmark("primary_tip", 11, 15),
        landmark("lateral_tip", 21, 10),
    )
    assert [root.id for root in reconstruction.plants[0].roots] == ["1", "1.1"]
    assert [flag.code for flag in reconstruction.flags] == ["unmarked_root"]
    assert reconstruction.unassigned_px / MM_PX == pytest.approx(4, abs=0.5)  # a skeleton is shorter than its root


APART = """
    ........................
    ...@@@@.........@@@@....
    ....#............#......
    ....#............#......
    ....#............#......
    ....#............#......
    ....#............#......
    ....#............#......
    ....#............#......
    ....#............#......
    ....#...................
    ....#.....#.............
    ..........#.............
    ..........#.............
    ..........#.............
    ..........#.............
    ..........#.............
    ..........#.............
    ..........#.............
    ........................
"""


def apart(expected: int | None = None) -> PlateReconstruction:
    landmarks = [
        landmark("root_base", 4, 2),
        landmark("primary_tip", 4, 11),
        landmark("root_base", 17, 2),
        landmark("primary_tip", 17, 9),
    ]
    return reconstruct(APART, *landmarks, expected=expected)


def test_reconstruct_assigns_root_pixels_to_each_plant() -> None:
    areas = {
        plant.id: {organ.kind: organ.area_px / 16 for organ in plant.organs} for plant in apart().plants
    }  # in characters
    assert areas == {1: {"root": 10, "shoot": 4}, 2: {"root": 8, "shoot": 4}}


def test_reconstruct_flags_root_without_plant() -> None:
    reconstruction = apart()
    assert [flag.code for flag in reconstruction.flags] == ["unassigned_root"]
    at = reconstruction.flags[0].at
    assert at is not None
    assert at.x / 4 == pytest.approx(10.4, abs=0.3)
    assert reconstruction.unassigned_px / MM_PX == pytest.approx(3.75, abs=0.4)


@pytest.mark.parametrize(("expected", "is_flagged"), [(2, False), (3, True), (None, False)])
def test_reconstruct_flags_plant_count_unless_expected(expected: int | None, is_flagged: bool) -> None:
    assert ("plant_count" in [flag.code for flag in apart(expected).flags]) == is_flagged


def test_reconstruct_assigns_landmarks_to_each_plant() -> None:
    kinds = [[(m.kind, int(m.x // 4)) for m in plant.landmarks] for plant in apart().plants]
    assert kinds == [[("root_base", 4), ("primary_tip", 4)], [("root_base", 17), ("primary_tip", 17)]]
