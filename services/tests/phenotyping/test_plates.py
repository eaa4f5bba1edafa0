"""Merging and splitting of the plates of one image."""

import math

import pytest

from tests.support.sample_phenotypes import PLATE, phenotype, seedling
from thale.phenotyping.plates import merge_plates, plate_number, split_plates
from thale.schemas import Flag, Phenotype, Plate, Point, Scale

RIGHT = Plate(
    corners=(Point(x=400, y=12), Point(x=790, y=12), Point(x=790, y=295), Point(x=400, y=295)), tilt_deg=1, confidence=1
)
LEFT_SCALE = Scale(mm_per_px=0.1, source="assumed", plate_width_mm=120)
RIGHT_SCALE = Scale(mm_per_px=0.11, source="assumed", plate_width_mm=120)


def two_plates() -> Phenotype:
    left = phenotype(seedling(1, 60), seedling(2, 150), scale=LEFT_SCALE)
    right = phenotype(
        seedling(1, 500), scale=RIGHT_SCALE, plate=RIGHT, flags=(Flag(code="low_resolution", message="low"),)
    )
    return merge_plates([left, right])


def test_merge_numbers_the_plate_of_one_plate_image() -> None:
    single = phenotype(seedling(1), scale=LEFT_SCALE)
    merged = merge_plates([single])
    assert (merged.scale, merged.plate, merged.traits) == (single.scale, single.plate, single.traits)
    assert [(plate.id, plate.plate) for plate in merged.plates] == [(1, PLATE)]
    assert [plant.plate for plant in merged.plants] == [1]


def test_merge_gives_no_plate_number_without_a_plate() -> None:
    merged = merge_plates([phenotype(seedling(1), plate=None)])
    assert (merged.plates, merged.plants[0].plate) == ((), None)


def test_merge_numbers_plants_through_the_image() -> None:
    merged = two_plates()
    assert [(plant.id, plant.plate) for plant in merged.plants] == [(1, 1), (2, 1), (3, 2)]
    assert [root.id for root in merged.plants[2].roots] == ["3", "3.1"]
    assert merged.plants[2].roots[1].parent == "3"


def test_merged_image_has_no_single_scale_and_no_totals() -> None:
    merged = two_plates()
    assert (merged.scale.source, merged.plate, merged.traits) == ("per_plate", None, ())
    assert math.isnan(merged.scale.mm_per_px)
    assert [plate.scale for plate in merged.plates] == [LEFT_SCALE, RIGHT_SCALE]
    lengths = [next(t.value for t in p.traits if t.trait == "primary_root_length") for p in merged.plants]
    assert lengths == pytest.approx([20, 20, 22])


def test_split_returns_each_plate_with_its_plants() -> None:
    left, right = split_plates(two_plates())
    assert (plate_number(left), plate_number(right)) == (1, 2)
    assert ([plant.id for plant in left.plants], [plant.id for plant in right.plants]) == ([1, 2], [3])
    assert (right.scale, right.plate, [flag.code for flag in right.flags]) == (RIGHT_SCALE, RIGHT, ["low_resolution"])
    assert [next(t.value for t in part.traits if t.trait == "plant_count") for part in (left, right)] == [2, 1]


def test_merged_phenotype_survives_json() -> None:
    merged = two_plates()
    assert Phenotype.model_validate_json(merged.model_dump_json()).model_dump_json() == merged.model_dump_json()
