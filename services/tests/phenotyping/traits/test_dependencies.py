"""Tests of the dependencies between traits."""

import pytest

from thale.phenotyping.traits.dependencies import (
    DEPENDENCIES,
    PLATE_DEPENDENCIES,
    limit_by_dependencies,
    limit_plate_traits,
)
from thale.phenotyping.traits.table import PLANT_TRAITS, PLATE_TRAITS, TRAITS
from thale.schemas import TraitValue


def values(**qualities: str) -> list[TraitValue]:
    return [
        TraitValue.model_validate({"trait": name, "value": 1.0, "unit": "mm", "ontology_id": None, "quality": quality})
        for name, quality in qualities.items()
    ]


def test_dependency_tables_have_existing_traits() -> None:
    plant_traits = {trait.name for trait in PLANT_TRAITS}
    assert DEPENDENCIES.keys() | {name for names in DEPENDENCIES.values() for name in names} <= plant_traits
    assert PLATE_DEPENDENCIES.keys() <= {trait.name for trait in PLATE_TRAITS}
    assert {name for names in PLATE_DEPENDENCIES.values() for name in names} <= plant_traits


def test_dependencies_of_root_traits_lead_to_a_length_or_count() -> None:
    independent = {"primary_root_length", "lateral_root_length", "lateral_root_count"}
    roots = {trait.name for trait in PLANT_TRAITS if trait.basis in ("primary", "laterals", "roots")}
    assert roots - DEPENDENCIES.keys() == independent


@pytest.mark.parametrize("doubtful", ["uncertain", "unknown"])
@pytest.mark.parametrize("trait", sorted(DEPENDENCIES))
def test_limit_by_dependencies_lowers_each_dependent(trait: str, doubtful: str) -> None:
    for dependency in DEPENDENCIES[trait]:
        names = {name: "ok" for name in TRAITS} | {dependency: doubtful}
        limited = {value.trait: value for value in limit_by_dependencies(values(**names))}
        assert limited[trait].quality == "uncertain"
        assert "depends_on_uncertain" in {flag.code for flag in limited[trait].flags}


def test_limit_by_dependencies_is_transitive() -> None:
    names = dict.fromkeys(("root_width_depth_ratio", "root_system_width", "shoot_area"), "ok")
    given = values(**names, primary_root_length="uncertain")
    limited = [value.quality for value in limit_by_dependencies(given)]
    assert limited == ["uncertain", "uncertain", "ok", "uncertain"]


def test_limit_by_dependencies_keeps_certain_and_unknown_values() -> None:
    given = values(primary_root_length="ok", lateral_root_length="ok", total_root_length="ok")
    assert limit_by_dependencies(given) == tuple(given)
    unknown = values(primary_root_length="uncertain", primary_root_angle="unknown")
    assert limit_by_dependencies(unknown) == tuple(unknown)


def test_limit_plate_traits_lowers_totals_of_uncertain_plants() -> None:
    plants = [values(total_root_length="ok"), values(total_root_length="uncertain")]
    totals = values(plate_total_root_length="ok", plate_lateral_root_count="ok", plant_count="ok")
    assert [value.quality for value in limit_plate_traits(totals, plants)] == ["uncertain", "ok", "ok"]
    assert limit_plate_traits(totals, plants[:1]) == tuple(totals)
