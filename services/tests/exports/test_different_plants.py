"""Exports of three different plants: each row has the values of its own plant, and each lateral its own parent."""

import csv
import io
import json
from itertools import pairwise

import pytest
from lxml import etree

from tests.support.sample_phenotypes import phenotype, seedling
from thale.exports import plantcv, rsml, table
from thale.schemas import Phenotype, Plant, Root

LENGTHS_MM = {"1": 20.0, "2": 15.0, "3": 10.0}
PARENTS = {"{}": None, "{}.1": "{}", "{}.2": "{}", "{}.2.1": "{}.2", "{}.2.1.1": "{}.2.1"}


def plant(number: int) -> Plant:
    """Return a plant with two laterals. The second one has a lateral of order 3, and that one another of order 4."""
    x = 100.0 * number
    primary = seedling(number, x).roots[0]
    points = ((x, 50.0), (x, 50.0 + 10 * LENGTHS_MM[str(number)]))
    roots = [primary.model_copy(update={"points": points, "length_px": 10 * LENGTHS_MM[str(number)]})]
    for index, (template, parent) in enumerate(list(PARENTS.items())[1:]):
        y = 60.0 + 10 * index
        roots.append(
            Root(
                id=template.format(number),
                parent=str(parent).format(number),
                order=template.count(".") + 1,
                points=((x, y), (x + 5, y + 5)),
                length_px=7.07,
                confidence=0.9,
            )
        )
    return seedling(number, x).model_copy(update={"roots": tuple(roots)})


@pytest.fixture
def found() -> Phenotype:
    return phenotype(plant(1), plant(2), plant(3))


def test_wide_csv_has_the_values_of_each_plant(found: Phenotype) -> None:
    rows = csv.DictReader(io.StringIO(table.wide_csv([found])))
    assert {row["plant"]: float(row["primary_root_length_mm"]) for row in rows} == pytest.approx(LENGTHS_MM)


def test_long_csv_has_the_values_of_each_plant(found: Phenotype) -> None:
    rows = csv.DictReader(io.StringIO(table.long_csv([found])))
    lengths = {row["plant"]: float(row["value"]) for row in rows if row["trait"] == "primary_root_length"}
    assert lengths == pytest.approx(LENGTHS_MM)


def test_plantcv_has_the_values_of_each_plant(found: Phenotype) -> None:
    [entity] = json.loads(plantcv.write([found]))["entities"]
    lengths = {sample[-1]: each["primary_root_length"]["value"] for sample, each in entity["observations"].items()}
    assert lengths == pytest.approx(LENGTHS_MM)


def test_rsml_nests_each_lateral_in_its_parent(found: Phenotype) -> None:
    document = etree.fromstring(rsml.write(found))
    for number, element in enumerate(document.iterfind("scene/plant"), start=1):
        nested = {root.get("id"): root.getparent().get("id") for root in element.iter("root")}
        parents = list(nested.items())
        assert len(parents) == len(PARENTS)
        by_position = dict(zip(PARENTS, nested, strict=True))
        for template, parent in list(PARENTS.items())[1:]:
            assert nested[by_position[template]] == by_position[str(parent)], (number, template)


def test_different_plants_differ(found: Phenotype) -> None:
    assert all(one.roots[0].length_px != two.roots[0].length_px for one, two in pairwise(found.plants))
