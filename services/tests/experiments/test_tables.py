"""Tables of experiments: equal to the tables of the same phenotypes, with the design columns."""

import csv
import io
import math

import pytest

from tests.support.sample_experiments import measured, measurement_of, new_image
from tests.support.sample_phenotypes import CROSSING_FLAG, NO_SCALE, phenotype, seedling
from thale.experiments.design import parse_csv
from thale.experiments.images import NewImage
from thale.experiments.measurements import prepare_measurement
from thale.experiments.store import ExperimentStore
from thale.experiments.tables import OWN_COLUMNS, TableForm, write_table
from thale.exports.table import LONG_COLUMNS, WIDE_COLUMNS, long_csv, wide_csv
from thale.schemas import Phenotype, Scale
from thale.schemas.experiment import MeasurementParameters


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


def varied(number: int) -> tuple[NewImage, Phenotype]:
    """Return an image with a phenotype of its own: plants, scale, intervals, unknown values, and a hostile name."""
    image = new_image(f'=p{number}("a",\n\x07).jpg' if number % 5 == 0 else f"p{number} é.jpg")
    plants = [
        seedling(plant, 37.1 * plant + number, (CROSSING_FLAG,) * (number % 2)) for plant in range(1, number % 4 + 1)
    ]
    scale = NO_SCALE if number % 3 == 0 else Scale(mm_per_px=0.07 + number / 1e5, source="given")
    found = phenotype(*plants, image=image.metadata, scale=scale)
    changed = []
    for plant in found.plants:
        traits = list(plant.traits)
        for index in range(number % 2, len(traits), 2):
            value = traits[index].value
            traits[index] = traits[index].model_copy(update={"interval": (value - 1 / 3, value + 1e6 / 7)})
        traits[number % 7] = traits[number % 7].model_copy(update={"value": math.nan, "quality": "unknown"})
        changed.append(plant.model_copy(update={"traits": tuple(traits)}))
    return image, found.model_copy(update={"plants": tuple(changed)})


@pytest.mark.parametrize("form", ["long", "wide"])
def test_table_has_the_bytes_of_the_export(store: ExperimentStore, form: TableForm) -> None:
    """The table is read and formatted in chunks of 100 images and 500 traits: 205 images have several of both."""
    store.experiments.create("a", "", "local")
    phenotypes, own = [], {}
    for number in range(205):
        image, found = varied(number)
        key = f"m-{(number * 7919) % 205:03}"  # subjects are not in the order of their measurements
        store.images.add("a", image, prepare_measurement(key, found, MeasurementParameters()))
        phenotypes.append(found)
        plate = f"'{image.plate}".translate({10: 0xFFFD, 7: 0xFFFD}) if number % 5 == 0 else image.plate
        own[image.metadata.sha256] = [plate, key, "0"]
    export = {"long": long_csv, "wide": wide_csv}[form](phenotypes)
    position = {"long": len(LONG_COLUMNS), "wide": len(WIDE_COLUMNS)}[form]
    expected = io.StringIO()
    writer = csv.writer(expected, lineterminator="\n")
    for row in csv.reader(io.StringIO(export)):
        cells = list(OWN_COLUMNS) if row[1] == "sha256" else own[row[1]]
        writer.writerow([*row[:position], *cells, *row[position:]])
    out = io.StringIO()
    write_table(store.database, "a", form, out)
    assert out.getvalue() == expected.getvalue()
