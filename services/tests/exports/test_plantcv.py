"""Tests of the PlantCV JSON export by the rules of PlantCV's converter to CSV."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.sample_phenotypes import NO_SCALE, image_metadata, phenotype, seedling
from thale.exports import plantcv

REAL_FILE = Path(__file__).parents[4] / "shared" / "data" / "plantcv" / "plantcv_results.json"


def keys(results: dict[str, Any]) -> dict[str, set[str]]:
    """Return the keys on each level of a results file."""
    entity = results["entities"][0]
    observation = next(iter(next(iter(entity["observations"].values())).values()))
    return {
        "file": set(results),
        "variable": set(next(iter(results["variables"].values()))),
        "entity": set(entity),
        "metadata": set(next(iter(entity["metadata"].values()))),
        "observation": set(observation),
    }


def test_write_has_keys_of_published_results_file() -> None:
    if not REAL_FILE.exists():
        pytest.skip(f"{REAL_FILE} does not exist: the PlantCV sample is not part of this repository")
    written = json.loads(plantcv.write(phenotype(seedling())))
    assert keys(written) == keys(json.loads(REAL_FILE.read_bytes()))


def test_write_plant_is_sample_and_trait_is_observation() -> None:
    written = json.loads(plantcv.write(phenotype(seedling(), seedling(2, 250.0))))
    samples = written["entities"][0]["observations"]
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
    entity = json.loads(plantcv.write(phenotype(seedling(), scale=NO_SCALE)))["entities"][0]
    assert entity["observations"]["plant_1"]["hypocotyl_length"]["value"] is None
    assert entity["observations"]["plant_1"]["primary_root_length"]["label"] == "px"
    assert entity["metadata"]["mm_per_px"]["value"] is None
    assert entity["metadata"]["scale_source"]["value"] == "none"


def test_write_declares_every_variable() -> None:
    written = json.loads(plantcv.write(phenotype(seedling()), phenotype(seedling(), image=image_metadata("b.png"))))
    assert [entity["metadata"]["image"]["value"] for entity in written["entities"]] == ["plate.png", "b.png"]
    for entity in written["entities"]:
        assert set(entity["metadata"]) == {n for n, v in written["variables"].items() if v["category"] == "metadata"}
        for sample in entity["observations"].values():
            assert set(sample) == {n for n, v in written["variables"].items() if v["category"] == "observations"}


def test_write_plate_without_plants_has_no_samples() -> None:
    entity = json.loads(plantcv.write(phenotype()))["entities"][0]
    assert entity["observations"] == {}
    assert entity["metadata"]["plant_count"]["value"] == 0.0
