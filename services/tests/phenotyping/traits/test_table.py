"""Tests of the table of traits: complete texts, and ontology terms that are unambiguous."""

from collections import defaultdict

import pytest

from thale.phenotyping.traits.measure import measure, measure_plate
from thale.phenotyping.traits.table import TRAITS
from thale.schemas import Plant, Scale

SCALE = Scale(mm_per_px=0.1, source="given")


def test_measure_returns_every_trait_in_table_order() -> None:
    plant = Plant(id=1, organs=(), landmarks=(), roots=())
    by_level = {"plant": measure(plant, SCALE), "plate": measure_plate([plant], SCALE)}
    for level, values in by_level.items():
        assert [value.trait for value in values] == [name for name, trait in TRAITS.items() if trait.level == level]
        for value in values:
            term = TRAITS[value.trait].ontology
            expected = (term.id, term.relation, term.qualifier) if term else (None, None, None)
            assert (value.ontology_id, value.ontology_relation, value.ontology_qualifier) == expected


@pytest.mark.parametrize("name", TRAITS)
def test_trait_has_texts_of_the_reference(name: str) -> None:
    trait = TRAITS[name]
    assert trait.definition.endswith(".")
    assert trait.method.endswith(".")
    assert trait.formula
    assert trait.source
    assert "doi:" in trait.source or trait.source.startswith("own")


def test_traits_with_the_same_term_have_qualifiers() -> None:
    terms = defaultdict(list)
    for trait in TRAITS.values():
        if trait.ontology is not None:
            terms[trait.ontology.id].append(trait.ontology)
    for shared in terms.values():
        qualifiers = [term.qualifier for term in shared]
        assert len(set(qualifiers)) == len(qualifiers)
        if len(shared) > 1:
            assert None not in qualifiers
            assert "exactMatch" not in [term.relation for term in shared]
        assert len({term.name for term in shared}) == 1


def test_term_that_is_not_exact_has_a_qualifier() -> None:
    for trait in TRAITS.values():
        if trait.ontology is not None and trait.ontology.relation != "exactMatch":
            assert trait.ontology.qualifier, trait.name


def test_growth_angle_is_no_response_to_abnormal_gravity() -> None:
    # TO:0002693 is a trait of the response to abnormal gravity, an abiotic stress.
    assert "TO:0002693" not in {trait.ontology_id for trait in TRAITS.values()}
