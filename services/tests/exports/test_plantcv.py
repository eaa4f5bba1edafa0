"""Tests of the PlantCV JSON export by the rules of PlantCV's converter to CSV, and by the converter if it is installed.

PlantCV is not a dependency, because it needs OpenCV. `pip install plantcv` in an environment of its own with thale and
pytest runs the tests of the converter too.
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.json2csv import read_single_values
from tests.support.sample_phenotypes import CROSSING_FLAG, NO_SCALE, UNLOCATED_FLAG, image_metadata, phenotype, seedling
from thale.exports import plantcv
from thale.schemas import Phenotype, Plant

OBSERVATION_KEYS = {"trait", "method", "scale", "datatype", "value", "label"}
SECOND_IMAGE = image_metadata("ü, 2.png", sha256="cd" * 32)


def unmeasured(number: int) -> Plant:
    """Return a plant of whose traits none is known, such as a seed."""
    return seedling(number).model_copy(update={"roots": (), "landmarks": (), "organs": ()})


DOCUMENTS: dict[str, Callable[[], list[Phenotype]]] = {
    "two images": lambda: [
        phenotype(seedling(), seedling(2, 250.0)),
        phenotype(seedling(), seedling(2, 250.0, (CROSSING_FLAG,)), seedling(3, 300.0), image=SECOND_IMAGE),
    ],
    "missing values": lambda: [
        phenotype(seedling(), unmeasured(2), flags=(UNLOCATED_FLAG,)),
        phenotype(seedling(), image=SECOND_IMAGE, scale=NO_SCALE, plate=None),
    ],
    "no plants": lambda: [phenotype(), phenotype(seedling(), image=SECOND_IMAGE)],
}


def convert(data: bytes, folder: Path) -> list[dict[str, str]]:
    """Return the rows that PlantCV's json2csv writes, without empty cells."""
    converters = pytest.importorskip("plantcv.utils.converters", reason="PlantCV is not installed")
    (folder / "plantcv.json").write_bytes(data)
    converters.json2csv(str(folder / "plantcv.json"), str(folder / "out"))
    with (folder / "out-single-value-traits.csv").open(encoding="utf-8", newline="") as file:
        rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]
    return sorted(rows, key=lambda row: (row["image"], row["sample"]))


def entity(one: Phenotype) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(plantcv.write([one]))["entities"][0]
    return result


@pytest.mark.parametrize("name", DOCUMENTS)
def test_json2csv_of_plantcv_writes_modelled_rows(name: str, tmp_path: Path) -> None:
    data = plantcv.write(DOCUMENTS[name]())
    expected = sorted(read_single_values(data), key=lambda row: (row["image"], row["sample"]))
    assert convert(data, tmp_path) == expected


@pytest.mark.parametrize("name", DOCUMENTS)
def test_json2csv_has_a_row_for_each_plant(name: str) -> None:
    phenotypes = DOCUMENTS[name]()
    rows = read_single_values(plantcv.write(phenotypes))
    assert {(row["image"], row["sample"]) for row in rows} == {
        (one.image.name, f"plant_{plant.id}") for one in phenotypes for plant in one.plants
    }
    assert len(rows) == sum(len(one.plants) for one in phenotypes)


def test_json2csv_reads_values_metadata_and_flags() -> None:
    first, *_, last = read_single_values(plantcv.write(DOCUMENTS["two images"]()))
    assert (first["image"], first["sample"], first["mm_per_px"]) == ("plate.png", "plant_1", "0.1")
    assert float(first["primary_root_length_mm"]) == pytest.approx(20.0)
    assert (last["image"], last["sample"], last["plant_count"]) == ("ü, 2.png", "plant_3", "3.0")
    rows = read_single_values(plantcv.write([phenotype(seedling(1, 100.0, (CROSSING_FLAG,)), flags=(UNLOCATED_FLAG,))]))
    assert (rows[0]["image_flags"], "hypocotyl_hidden" in rows[0]["flags_none"]) == ("not_focused", True)


def test_json2csv_never_mixes_scales_in_a_column() -> None:
    rows = {row["image"]: row for row in read_single_values(plantcv.write(DOCUMENTS["missing values"]()))}
    unscaled, scaled = rows["ü, 2.png"], rows["plate.png"]
    assert (unscaled["mm_per_px"], unscaled["plate_total_root_length_mm"]) == ("none", "NA")
    assert (unscaled["plate_total_root_length_px"], scaled["plate_total_root_length_px"]) == ("250.0", "NA")
    assert "primary_root_length_px" in unscaled.keys() - scaled.keys()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_write_metadata_are_lists_and_observations_scalars(name: str) -> None:
    for each in json.loads(plantcv.write(DOCUMENTS[name]()))["entities"]:
        for value in each["metadata"].values():
            assert set(value) == {"label", "datatype", "value"}
            assert isinstance(value["value"], list)
        for sample in each["observations"].values():
            for observation in sample.values():
                assert set(observation) == OBSERVATION_KEYS
                assert isinstance(observation["value"], str | float | None)


def test_write_plant_is_sample_and_trait_is_observation() -> None:
    samples = entity(phenotype(seedling(), seedling(2, 250.0)))["observations"]
    assert set(samples) == {"plant_1", "plant_2"}
    assert samples["plant_1"]["primary_root_length"] == {
        "trait": "Primary root length",
        "method": "thale 0.1.0",
        "scale": "mm",
        "datatype": "<class 'float'>",
        "value": pytest.approx(20.0),
        "label": "mm",
    }


def test_write_unknown_values_are_null_and_scale_is_metadata() -> None:
    written = entity(phenotype(seedling(), scale=NO_SCALE))
    assert written["observations"]["plant_1"]["hypocotyl_length"]["value"] is None
    assert written["observations"]["plant_1"]["primary_root_length"]["label"] == "px"
    assert written["metadata"]["mm_per_px"]["value"] == [None]
    assert written["metadata"]["scale_source"]["value"] == ["none"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_write_declares_every_variable(name: str) -> None:
    written = json.loads(plantcv.write(DOCUMENTS[name]()))
    declared = {(variable["category"], name) for name, variable in written["variables"].items()}
    metadata = {("metadata", name) for each in written["entities"] for name in each["metadata"]}
    samples = [sample for each in written["entities"] for sample in each["observations"].values()]
    assert declared == metadata | {("observations", name) for sample in samples for name in sample}


def test_write_plate_without_plants_has_no_samples() -> None:
    written = entity(phenotype())
    assert written["observations"] == {}
    assert written["metadata"]["plant_count"]["value"] == [0.0]


def test_chunks_read_one_phenotype_at_a_time() -> None:
    read: list[int] = []

    def source() -> Any:
        for number in range(3):
            read.append(number)
            yield phenotype(seedling(number + 1))

    chunks = plantcv.chunks(source())
    next(chunks)
    next(chunks)
    assert read == [0]
    assert list(chunks)[-1].endswith("}")


def test_write_of_no_images_is_valid() -> None:
    assert json.loads(plantcv.write([])) == {"entities": [], "variables": {}}
