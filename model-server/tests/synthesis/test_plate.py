"""Tests of synthetic plates: image and ground truth must agree, because training and evaluation rely on it."""

from collections import Counter
from dataclasses import fields
from typing import get_type_hints

import numpy as np
import pytest

from thale_models.synthesis import Overrides, PlateSpec, SyntheticPlate, draw_crop, draw_plate
from thale_models.synthesis.organs import ROOT, SEED, SHOOT, count_visible
from thale_models.synthesis.plate_spec import sample_spec

SMALL = {"width": 1250, "height": 1200}
TINY = {"width": 625, "height": 600}


@pytest.fixture(scope="module")
def plates() -> list[SyntheticPlate]:
    return [draw_plate(seed, **SMALL) for seed in range(8)]


def classes_at(plate: SyntheticPlate, points: np.ndarray) -> np.ndarray:
    x, y = np.round(points).astype(int).T
    return plate.mask_HW[y, x]


@pytest.mark.slow
def test_draw_plate_is_reproducible() -> None:
    first, second = draw_plate(5, **TINY), draw_plate(5, **TINY)
    assert first.encoded == second.encoded
    assert first.mask_HW.tobytes() == second.mask_HW.tobytes()
    assert first.plants == second.plants
    assert first.landmarks == second.landmarks


@pytest.mark.slow
def test_draw_plate_depends_on_the_seed() -> None:
    assert draw_plate(5, **TINY).encoded != draw_plate(6, **TINY).encoded


@pytest.mark.slow
def test_polylines_lie_on_organs(plates: list[SyntheticPlate]) -> None:
    for plate in plates:
        for plant in plate.plants:
            for root in plant.roots:
                assert (classes_at(plate, np.array(root.points)) != 0).all()


@pytest.mark.slow
def test_most_root_points_are_visible(plates: list[SyntheticPlate]) -> None:
    classes_on_roots = [
        classes_at(plate, np.array(root.points)) for plate in plates for p in plate.plants for root in p.roots
    ]
    assert (np.concatenate(classes_on_roots) == ROOT).mean() > 0.85


@pytest.mark.slow
def test_landmarks_lie_on_organs(plates: list[SyntheticPlate]) -> None:
    for plate in plates:
        for landmark in plate.landmarks:
            assert classes_at(plate, np.array([[landmark.x, landmark.y]]))[0] != 0


def test_each_root_has_its_landmarks(plates: list[SyntheticPlate]) -> None:
    for plate in plates:
        kinds = Counter(landmark.kind for landmark in plate.landmarks)
        roots = [root for plant in plate.plants for root in plant.roots]
        assert kinds["root_base"] == kinds["primary_tip"] == len(plate.plants) == plate.spec.plants
        assert kinds["lateral_tip"] == sum(root.order > 1 for root in roots)


@pytest.mark.slow
def test_root_base_touches_the_hypocotyl() -> None:
    plate = draw_plate(11, plants=5, **SMALL)
    for plant in plate.plants:
        x, y = plant.roots[0].points[0]
        around = plate.mask_HW[round(y) - 8 : round(y) + 9, round(x) - 8 : round(x) + 9]
        assert SHOOT in around


def test_shoots_have_a_hypocotyl_and_visible_leaves(plates: list[SyntheticPlate]) -> None:
    plants = [(plant, plate.mm_per_px) for plate in plates for plant in plate.plants]
    assert all(0.4 < plant.hypocotyl_px * mm_per_px < 20 for plant, mm_per_px in plants)
    assert all(1 <= plant.leaves <= 8 for plant, _ in plants)
    assert len({plant.leaves for plant, _ in plants}) > 2


def test_count_visible_omits_covered_and_outside_leaves() -> None:
    lower, upper, apart = np.arange(10), np.arange(3, 20), np.arange(30, 40)
    assert count_visible([lower, upper, apart]) == 2
    assert count_visible([upper, lower, apart]) == 3
    assert count_visible([lower, np.arange(4), np.arange(4, 8)]) == 2
    assert count_visible([apart, np.empty(0, int)]) == 1


def test_laterals_start_on_their_parent(plates: list[SyntheticPlate]) -> None:
    for plate in plates:
        for plant in plate.plants:
            by_id = {root.id: root for root in plant.roots}
            for root in plant.roots:
                if root.parent is None:
                    assert root.order == 1
                else:
                    assert by_id[root.parent].order == root.order - 1
                    assert root.points[0] in by_id[root.parent].points


def test_plants_are_numbered_from_left_to_right(plates: list[SyntheticPlate]) -> None:
    for plate in plates:
        assert [plant.id for plant in plate.plants] == list(range(1, len(plate.plants) + 1))
        columns = [plant.roots[0].points[0][0] for plant in plate.plants]
        assert columns == sorted(columns)


def test_mask_has_exactly_four_classes(plates: list[SyntheticPlate]) -> None:
    mask_classes = set(np.unique(np.concatenate([plate.mask_HW.ravel() for plate in plates])))
    assert mask_classes == {0, ROOT, SHOOT, SEED}


@pytest.mark.slow
@pytest.mark.parametrize("plants", [0, 1, 8])
def test_draw_plate_has_the_given_number_of_plants(plants: int) -> None:
    plate = draw_plate(3, plants=plants, **SMALL)
    assert len(plate.plants) == plants
    assert (ROOT in plate.mask_HW) == (plants > 0)


def test_sample_spec_covers_styles_and_plant_counts() -> None:
    specs = [sample_spec(np.random.default_rng(seed)) for seed in range(200)]
    assert {spec.style for spec in specs} == {"backlit", "dark"}
    assert {spec.plants for spec in specs} == set(range(9))
    assert all(abs(spec.tilt_deg) <= 5 for spec in specs)


@pytest.mark.slow
@pytest.mark.parametrize(("style", "darker"), [("backlit", True), ("dark", False)])
def test_roots_have_the_polarity_of_their_style(style: str, darker: bool) -> None:
    plate = draw_plate(4, style=style, plants=5, label="none", contrast=0.15 if darker else 1.0, **SMALL)
    grey = plate.image_HW3.mean(2)
    differences = []
    for plant in plate.plants:
        for x, y in plant.roots[0].points[10:-1]:
            row, column = round(y), round(x)
            if plate.mask_HW[row, column] == ROOT:
                window = np.s_[row - 12 : row + 13, column - 12 : column + 13]
                differences.append(grey[row, column] - np.median(grey[window][plate.mask_HW[window] == 0]))
    assert (np.median(differences) < 0) == darker


def test_dark_style_is_grey() -> None:
    image = draw_plate(2, style="dark", **TINY).image_HW3
    assert (image[..., 0] == image[..., 1]).all()
    assert (image[..., 0] == image[..., 2]).all()


def test_corners_are_a_plate_width_apart(plates: list[SyntheticPlate]) -> None:
    for plate in plates:
        corners = np.array(plate.corners)
        sides = np.hypot(*(corners - np.roll(corners, -1, axis=0)).T)
        assert sides == pytest.approx(120.0 / plate.mm_per_px)


@pytest.mark.slow
@pytest.mark.parametrize("style", ["backlit", "dark"])
def test_plate_edge_lies_on_the_corners(style: str) -> None:
    plate = draw_plate(
        8, style=style, width=1300, height=1300, px_per_mm=10.0, centre_xy=(650.0, 650.0), tilt_deg=0.0, plants=0,
        label="none", noise=0.0, blur_px=0.3, jpeg_quality=None,
    )  # fmt: skip
    assert plate.corners[0] == pytest.approx((50, 50))
    columns = np.median(plate.image_HW3[300:1000].astype(float).mean(2), axis=0)
    steps = np.abs(np.diff(columns))
    outer = np.flatnonzero(steps > 0.5 * max(steps[40:60].max(), 2.0))
    assert outer[0] == pytest.approx(49.5, abs=1)
    assert outer[-1] == pytest.approx(1249.5, abs=1)


@pytest.mark.slow
def test_tilted_plate_stays_in_the_image() -> None:
    plate = draw_plate(9, tilt_deg=5.0, corner_mm=12.0, **SMALL)
    root = np.array([point for plant in plate.plants for root in plant.roots for point in root.points])
    assert (root > 0).all()
    assert (root < [1250, 1200]).all()


@pytest.mark.slow
@pytest.mark.parametrize(("style", "size"), [("backlit", (4300, 2900)), ("dark", (4200, 3000))])
def test_draw_plate_renders_a_full_camera_image(style: str, size: tuple[int, int]) -> None:
    plate = draw_plate(1, style=style, width=size[0], height=size[1])
    assert plate.image_HW3.shape == (size[1], size[0], 3)
    assert plate.mask_HW.shape == (size[1], size[0])


@pytest.mark.slow
def test_draw_crop_has_only_the_landmarks_in_its_window() -> None:
    for seed in range(8):
        crop = draw_crop(seed, 300)
        assert crop.image_HW3.shape == (300, 300, 3)
        for landmark in crop.landmarks:
            assert -0.5 <= landmark.x < 299.5
            assert -0.5 <= landmark.y < 299.5
            assert classes_at(crop, np.array([[landmark.x, landmark.y]]))[0] != 0


def test_overrides_have_the_fields_of_plate_spec() -> None:
    assert list(get_type_hints(Overrides)) == [field.name for field in fields(PlateSpec)]
    assert get_type_hints(Overrides) == get_type_hints(PlateSpec)


@pytest.mark.parametrize(
    "wrong", [{"plants": -1}, {"style": "infrared"}, {"width": 10}, {"px_per_mm": 0.0}, {"label": "top"}]
)
def test_draw_plate_rejects_invalid_overrides(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"unknown style|at least|must be"):
        draw_plate(0, **wrong)


def test_hard_plates_have_more_roots_nearer_to_the_rim() -> None:
    specs = [sample_spec(np.random.default_rng(seed), hard=True) for seed in range(200)]
    easy = [sample_spec(np.random.default_rng(seed)) for seed in range(200)]
    assert all(spec.hard for spec in specs)
    assert not any(spec.hard for spec in easy)
    assert np.mean([spec.habit.laterals for spec in specs]) > 1.5 * np.mean([spec.habit.laterals for spec in easy])
    assert max(spec.habit.lateral_paleness for spec in specs) > 0.8
    assert min(spec.plants for spec in specs) >= 2


@pytest.mark.slow
def test_hard_option_leaves_other_plates_unchanged() -> None:
    assert draw_plate(5, hard=False, **TINY).encoded == draw_plate(5, **TINY).encoded
    assert draw_plate(5, hard=True, **TINY).encoded != draw_plate(5, **TINY).encoded
