"""Tests of the trait reference."""

from pathlib import Path

from thale.phenotyping.traits.reference import render_reference
from thale.phenotyping.traits.table import TRAITS

REFERENCE = Path(__file__).parents[4] / "docs" / "traits.md"


def test_traits_md_is_up_to_date() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == render_reference(), "run: make generate"


def test_reference_has_definition_of_every_trait() -> None:
    text = render_reference()
    sections = {section.split("\n", 1)[0]: section for section in text.split("\n### ")[1:]}
    assert list(sections) == list(TRAITS)
    for name, trait in TRAITS.items():
        for part in (trait.definition, trait.formula, trait.method, trait.source, "- Unit: ", "- Ontology term: "):
            assert part in sections[name]
