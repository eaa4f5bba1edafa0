"""Tables of experiments: equal to the tables of the same phenotypes, with the design columns."""

import csv
import io

import pytest

from tests.support.sample_experiments import measured, measurement_of, new_image
from tests.support.sample_phenotypes import CROSSING_FLAG, seedling
from thale.experiments.design import parse_csv
from thale.experiments.store import ExperimentStore
from thale.experiments.tables import OWN_COLUMNS, TableForm, write_table
from thale.exports.table import long_csv, wide_csv


def read_table(store: ExperimentStore, form: TableForm) -> list[dict[str, str]]:
    out = io.StringIO()
    write_table(store.database, "a", form, out)
    return list(csv.DictReader(io.StringIO(out.getvalue())))


@pytest.fixture
def filled(store: ExperimentStore) -> ExperimentStore:
    store.experiments.create("a", "", "local")
    plants = {"p1.jpg": (seedling(1, 100.0, (CROSSING_FLAG,)), seedling(2, 250.0)), "=p2(.jpg": (), "p3.jpg": ()}
    for name, seedlings in plants.items():
        image = new_image(name)
        store.images.add("a", image, measurement_of(image, *seedlings))
    return store


@pytest.mark.parametrize("form", ["long", "wide"])
def test_table_equals_the_export_of_the_phenotypes(filled: ExperimentStore, form: TableForm) -> None:
    phenotypes = [
        measured(new_image("p1.jpg"), seedling(1, 100.0, (CROSSING_FLAG,)), seedling(2, 250.0)),
        measured(new_image("=p2(.jpg")),
        measured(new_image("p3.jpg")),
    ]
    write = {"long": long_csv, "wide": wide_csv}[form]
    expected = list(csv.DictReader(io.StringIO(write(phenotypes))))
    found = read_table(filled, form)
    assert [{name: row[name] for name in expected[0]} for row in found] == expected
    assert set(found[0]) - set(expected[0]) == set(OWN_COLUMNS)


def test_design_columns_join_by_plate_and_plant(filled: ExperimentStore) -> None:
    design = b"plate,plant,genotype,NaCl\np1,1,col-0,50\np1,2,ler,50\np3,,ws,0\n"
    filled.experiments.put_design("a", parse_csv(design))
    rows = read_table(filled, "wide")
    assert [(row["plate_name"], row["plant"], row["genotype"], row["NaCl"]) for row in rows] == [
        ("p1", "1", "col-0", "50"),
        ("p1", "2", "ler", "50"),
        ("'=p2(", "1", "", ""),
        ("'=p2(", "2", "", ""),
        ("p3", "1", "ws", "0"),
        ("p3", "2", "ws", "0"),
    ]


def test_unmeasured_image_has_a_row(filled: ExperimentStore) -> None:
    filled.images.add("a", new_image("p4.jpg"), None)
    last = read_table(filled, "wide")[-1]
    assert (last["image"], last["flags"], last["plant"], last["measurement_id"]) == ("p4.jpg", "not_measured", "", "")
    assert all(row["image"] != "p4.jpg" for row in read_table(filled, "long"))


def test_table_has_the_current_measurement_only(store: ExperimentStore) -> None:
    store.experiments.create("a", "", "local")
    image = new_image("p1.jpg")
    for version in ("1", "2"):
        store.images.add("a", image, measurement_of(image, seedling(1), version=version))
    assert {row["measurement_id"] for row in read_table(store, "long")} == {measurement_of(image, version="2").id}
