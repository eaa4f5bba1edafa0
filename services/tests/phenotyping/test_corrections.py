"""Corrections of roots by a person: traits, quality, flags, and what stays as measured."""

import math

import pytest

from tests.support.corrections import edited, root_of, unchanged
from tests.support.sample_phenotypes import NO_SCALE, PLATE, phenotype, seedling
from thale.phenotyping.corrections import correct_phenotype
from thale.phenotyping.plates import merge_plates
from thale.phenotyping.rotation import rotate_to_original
from thale.schemas import CorrectedPlant, CorrectedRoot, Flag, Phenotype, Plant, TraitValue

UNCONFIRMED = Flag(code="tip_unconfirmed", message="no tip was found")
RISK = Flag(code="error_likely", message="the value may be wrong")
LONGER = ((100.0, 50.0), (100.0, 150.0), (100.0, 270.0))


def trait(result: Phenotype, plant: int, name: str) -> TraitValue:
    found = next(each for each in result.plants if each.id == plant)
    return next(value for value in found.traits if value.trait == name)


def total(result: Phenotype, name: str) -> TraitValue:
    return next(value for value in result.traits if value.trait == name)


def with_graded(measured: Phenotype, name: str, **update: object) -> Phenotype:
    """Return a phenotype in which one trait of each plant was graded by an error model."""

    def grade(plant: Plant) -> Plant:
        traits = tuple(value.model_copy(update=update) if value.trait == name else value for value in plant.traits)
        return plant.model_copy(update={"traits": traits})

    return measured.model_copy(update={"plants": tuple(map(grade, measured.plants))})


def test_unchanged_roots_return_the_measured_phenotype() -> None:
    measured = merge_plates([phenotype(seedling(1), seedling(2, 200, (UNCONFIRMED,)))])
    assert correct_phenotype(measured, unchanged(measured)) is measured


def test_moved_tip_changes_the_traits_of_its_plant_only() -> None:
    measured = phenotype(seedling(1), seedling(2, 200))
    result = correct_phenotype(measured, edited(unchanged(measured), "1", points=LONGER))
    changed = trait(result, 1, "primary_root_length")
    assert (changed.value, changed.unit, changed.quality, changed.interval) == (pytest.approx(22), "mm", "ok", None)
    assert [flag.code for flag in changed.flags] == ["corrected"]
    assert result.plants[1] is measured.plants[1]
    assert total(result, "plate_total_root_length").value == pytest.approx(52)
    assert [flag.message for flag in result.flags] == ["a person corrected the roots of plants 1"]


def test_shoot_stays_as_measured_and_pixel_traits_are_unknown() -> None:
    measured = phenotype(seedling(1))
    result = correct_phenotype(measured, edited(unchanged(measured), "1", points=LONGER))
    for name in ("shoot_area", "leaf_count", "hypocotyl_length"):
        before, after = trait(measured, 1, name), trait(result, 1, name)
        assert after is before or after == before, name
    for name in ("primary_root_diameter", "root_shoot_area_ratio"):
        value = trait(result, 1, name)
        assert math.isnan(value.value)
        assert (value.quality, "photograph_needed" in {flag.code for flag in value.flags}) == ("unknown", True)
    assert result.plants[0].organs == measured.plants[0].organs


def test_drawn_lateral_has_a_new_length_and_no_diameter() -> None:
    measured = phenotype(seedling(1))
    points = ((100.0, 150.0), (130.0, 190.0), (160.0, 230.0))
    result = correct_phenotype(measured, edited(unchanged(measured), "1.1", points=points))
    assert root_of(result, "1") is measured.plants[0].roots[0]
    lateral = root_of(result, "1.1")
    assert (lateral.length_px, math.isnan(lateral.diameter_px), lateral.confidence) == (pytest.approx(100), True, 1)
    assert lateral.insertion_angle_deg == pytest.approx(36.87, abs=0.5)
    assert {landmark.kind for landmark in result.plants[0].landmarks} == {"root_base", "primary_tip"}


def test_doubts_remain_until_a_person_checks_the_plant() -> None:
    measured = with_graded(
        phenotype(seedling(1).model_copy(update={"flags": (UNCONFIRMED,)})),
        "primary_root_length",
        quality="uncertain",
        flags=(UNCONFIRMED, RISK),
        interval=(15.0, 25.0),
    )
    plants = edited(unchanged(measured), "1", points=LONGER)
    before = trait(correct_phenotype(measured, plants), 1, "primary_root_length")
    assert (before.quality, {flag.code for flag in before.flags}) == (
        "uncertain",
        {"tip_unconfirmed", "error_likely", "corrected"},
    )
    checked = tuple(plant.model_copy(update={"checked": True}) for plant in plants)
    after = correct_phenotype(measured, checked)
    assert trait(after, 1, "primary_root_length").quality == "ok"
    assert {flag.code for flag in after.plants[0].flags} == {"corrected", "checked"}


def test_checked_plant_keeps_its_values_and_intervals() -> None:
    measured = with_graded(
        phenotype(seedling(1)), "primary_root_length", quality="uncertain", flags=(RISK,), interval=(15.0, 25.0)
    )
    value = trait(correct_phenotype(measured, unchanged(measured, checked=True)), 1, "primary_root_length")
    assert (value.value, value.interval, value.quality, value.flags) == (20.0, (15.0, 25.0), "ok", ())


def test_totals_of_checked_plants_keep_their_intervals() -> None:
    measured = phenotype(seedling(1))
    totals = tuple(value.model_copy(update={"interval": (1.0, 99.0)}) for value in measured.traits)
    measured = measured.model_copy(update={"traits": totals})
    result = correct_phenotype(measured, unchanged(measured, checked=True))
    assert result.traits == measured.traits
    changed = correct_phenotype(measured, edited(unchanged(measured, checked=True), "1", points=LONGER))
    value = total(changed, "plate_total_root_length")
    assert (value.interval, [flag.code for flag in value.flags]) == (None, ["corrected"])


def test_check_does_not_end_doubts_about_the_image() -> None:
    measured = phenotype(seedling(1), flags=(Flag(code="plate_edge_weak", message="weak"),))
    value = trait(correct_phenotype(measured, unchanged(measured, checked=True)), 1, "primary_root_length")
    assert (value.quality, value.flags[0].code) == ("uncertain", "plate_edge_weak")


def test_crossing_has_a_value_after_its_root_is_drawn() -> None:
    crossing = Flag(code="crossing", message="crossing at 100,150")
    measured = phenotype(seedling(1, flags=(crossing,)))
    assert math.isnan(trait(measured, 1, "primary_root_length").value)
    result = correct_phenotype(measured, edited(unchanged(measured), "1", points=LONGER))
    assert trait(result, 1, "primary_root_length").value == pytest.approx(22)
    assert crossing not in result.plants[0].flags


def test_removed_plant_is_named_and_leaves_the_totals() -> None:
    measured = phenotype(seedling(1), seedling(2, 200))
    result = correct_phenotype(measured, unchanged(measured)[:1])
    assert [flag.message for flag in result.flags] == ["a person removed plants 2"]
    assert (total(result, "plant_count").value, total(result, "plate_total_root_length").value) == (
        1,
        pytest.approx(25),
    )


def test_added_plant_has_root_traits_and_unknown_shoot_traits() -> None:
    measured = phenotype(seedling(1))
    root = CorrectedRoot(id="2", points=((200.0, 50.0), (200.0, 100.0)))
    added = (*unchanged(measured), CorrectedPlant(id=2, checked=True, roots=(root,)))
    result = correct_phenotype(measured, added)
    assert trait(result, 2, "primary_root_length").value == pytest.approx(5)
    assert trait(result, 2, "shoot_area").quality == "unknown"
    assert total(result, "plant_count").value == 2


def test_plant_without_its_roots_is_unknown_and_never_zero() -> None:
    measured = phenotype(seedling(1))
    emptied = (unchanged(measured)[0].model_copy(update={"roots": ()}),)
    result = correct_phenotype(measured, emptied)
    value = trait(result, 1, "total_root_length")
    assert (math.isnan(value.value), value.quality) == (True, "unknown")
    assert "no_root" in {flag.code for flag in value.flags}


def test_orders_follow_parents() -> None:
    measured = phenotype(seedling(1))
    second = CorrectedRoot(id="1.1.1", parent="1.1", points=((115.0, 170.0), (140.0, 170.0)))
    plants = (unchanged(measured)[0].model_copy(update={"roots": (second, *unchanged(measured)[0].roots)}),)
    roots = correct_phenotype(measured, plants).plants[0].roots
    assert [(root.id, root.order) for root in roots] == [("1", 1), ("1.1", 2), ("1.1.1", 3)]


def test_correction_without_scale_stays_in_pixels() -> None:
    measured = phenotype(seedling(1), scale=NO_SCALE, plate=None)
    result = correct_phenotype(measured, edited(unchanged(measured), "1", points=LONGER))
    value = trait(result, 1, "primary_root_length")
    assert (value.value, value.unit) == (pytest.approx(220), "px")


@pytest.mark.parametrize("plate", [PLATE, None])
def test_turned_image_keeps_the_angle_of_the_upright_one(plate: object) -> None:
    upright = phenotype(seedling(1), plate=plate)  # type: ignore[arg-type]
    size = upright.image.model_copy(update={"width": 300, "height": 400})  # the turned image has 400 x 300
    turned = rotate_to_original(upright.model_copy(update={"rotate": 90, "image": size}))
    moved = [*root_of(turned, "1").points[:2], (root_of(turned, "1").points[2][0], 350.0)]
    result = correct_phenotype(turned, edited(unchanged(turned), "1", points=tuple(moved)))
    expected = correct_phenotype(
        upright, edited(unchanged(upright), "1", points=((100.0, 50.0), (100.0, 150.0), (49.0, 250.0)))
    )
    for name in ("primary_root_length", "primary_root_angle", "root_system_depth"):
        assert trait(result, 1, name).value == pytest.approx(trait(expected, 1, name).value), name


def test_plates_of_one_image_are_corrected_apart() -> None:
    measured = merge_plates([phenotype(seedling(1)), phenotype(seedling(1, 250))])
    result = correct_phenotype(measured, edited(unchanged(measured), "1", points=LONGER))
    assert result.plates[1].traits is measured.plates[1].traits
    totals = [next(v for v in plate.traits if v.trait == "plate_total_root_length").value for plate in result.plates]
    assert totals == [pytest.approx(27), pytest.approx(25)]
    assert result.traits == ()
