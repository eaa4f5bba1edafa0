"""Tests of the dataset writer: complete, reproducible and resumable folders of synthetic plates."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from thale.exports import rsml
from thale_models.synthesis import draw_plate, write_dataset
from thale_models.synthesis.ground_truth import HYPOCOTYL_LENGTH, LEAF_COUNT, landmarks_to_coco, roots_to_rsml

SMALL = {"width": 500, "height": 480}


def read_rows(manifest: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(manifest.read_text().splitlines()))


def read_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_write_dataset_writes_the_manifest_of_training(tmp_path: Path) -> None:
    rows = read_rows(write_dataset(tmp_path, 3, 7, overrides=SMALL))
    assert list(rows[0]) == ["image", "plant", "split", "mask", "landmarks", "mm_per_px", "roots"]
    for row in rows:
        image, mask = Image.open(tmp_path / row["image"]), Image.open(tmp_path / row["mask"])
        assert image.size == mask.size == (500, 480)
        assert np.asarray(mask).max() <= 3
        assert float(row["mm_per_px"]) > 0
        assert rsml.read((tmp_path / row["roots"]).read_bytes()).mm_per_px == pytest.approx(float(row["mm_per_px"]))


@pytest.mark.slow
def test_write_dataset_is_independent_of_the_number_of_jobs(tmp_path: Path) -> None:
    write_dataset(tmp_path / "one", 3, 7, crop_px=128)
    write_dataset(tmp_path / "two", 3, 7, crop_px=128, jobs=2)
    assert read_files(tmp_path / "one") == read_files(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["masks/plate-000001.png", "truth/plate-000001.rsml"])
def test_write_dataset_resumes_a_stopped_run(tmp_path: Path, missing: str) -> None:
    write_dataset(tmp_path / "whole", 4, 7, overrides=SMALL)
    write_dataset(tmp_path / "stopped", 2, 7, overrides=SMALL)
    untouched = tmp_path / "stopped" / "masks" / "plate-000000.png"
    before = untouched.stat().st_mtime_ns
    (tmp_path / "stopped" / missing).unlink()
    write_dataset(tmp_path / "stopped", 4, 7, overrides=SMALL)
    assert untouched.stat().st_mtime_ns == before
    assert read_files(tmp_path / "stopped") == read_files(tmp_path / "whole")


@pytest.mark.slow
def test_write_dataset_repairs_an_incomplete_last_line(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path, 2, 7, overrides=SMALL)
    whole = manifest.read_text()
    manifest.write_text(whole[:-8])
    write_dataset(tmp_path, 2, 7, overrides=SMALL)
    assert manifest.read_text() == whole


def test_write_dataset_rejects_another_seed(tmp_path: Path) -> None:
    write_dataset(tmp_path, 1, 7, crop_px=64)
    with pytest.raises(ValueError, match="choose another folder"):
        write_dataset(tmp_path, 2, 8, crop_px=64)


@pytest.mark.slow
def test_write_dataset_reserves_a_tenth_for_validation(tmp_path: Path) -> None:
    rows = read_rows(write_dataset(tmp_path, 20, 1, crop_px=64))
    assert [row["split"] for row in rows].count("val") == 2
    assert [row["split"] for row in rows].count("train") == 18


def test_write_dataset_applies_a_given_split(tmp_path: Path) -> None:
    rows = read_rows(write_dataset(tmp_path, 3, 1, split="test", crop_px=64))
    assert {row["split"] for row in rows} == {"test"}


@pytest.mark.parametrize("wrong", [{"plates": 0}, {"jobs": 0}])
def test_write_dataset_rejects_zero_plates_or_jobs(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        write_dataset(tmp_path, **{"plates": 1, "seed": 0, **wrong})


def test_roots_to_rsml_has_every_root_with_its_order() -> None:
    plate = draw_plate(12, plants=5, width=900, height=900)
    document = rsml.read(roots_to_rsml(plate, "plate.jpg"))
    orders = [order for _, order, _ in document.walk()]
    truth = [root for plant in plate.plants for root in plant.roots]
    assert sorted(orders) == sorted(root.order for root in truth)
    assert document.mm_per_px == pytest.approx(plate.mm_per_px)
    by_id = {root.id: root for _, _, root in document.walk()}
    for root in truth:
        assert np.asarray(by_id[root.id].points) == pytest.approx(np.asarray(root.points), abs=1e-3)
    assert not document.warnings


def test_roots_to_rsml_has_the_shoot_traits() -> None:
    plate = draw_plate(4, **SMALL, plants=3)
    document = rsml.read(roots_to_rsml(plate, "plate.png"))
    traits = [{prop.name: float(prop.value) for prop in plant.properties} for plant in document.plants]
    assert traits == [
        {HYPOCOTYL_LENGTH: pytest.approx(plant.hypocotyl_px, abs=1e-3), LEAF_COUNT: plant.leaves}
        for plant in plate.plants
    ]


def test_landmarks_to_coco_has_masks_in_pycocotools(tmp_path: Path) -> None:
    (tmp_path / "marks.json").write_bytes(landmarks_to_coco(draw_plate(1, **SMALL), "plate.jpg"))
    read = COCO(str(tmp_path / "marks.json"))
    assert {read.annToMask(annotation).shape for annotation in read.loadAnns(read.getAnnIds())} == {(480, 500)}


def test_landmarks_to_coco_has_one_annotation_per_landmark() -> None:
    plate = draw_plate(12, plants=3, width=900, height=900)
    coco = json.loads(landmarks_to_coco(plate, "plate.jpg"))
    names = {category["id"]: category["name"] for category in coco["categories"]}
    written = [(names[a["category_id"]], *a["keypoints"][:2]) for a in coco["annotations"]]
    assert written == [(landmark.kind, round(landmark.x, 3), round(landmark.y, 3)) for landmark in plate.landmarks]


@pytest.mark.slow
def test_write_dataset_degrades_each_photograph(tmp_path: Path) -> None:
    overrides = {"width": 420, "height": 400}
    clean = read_rows(write_dataset(tmp_path / "clean", 4, 13, overrides=overrides))
    degraded = read_rows(write_dataset(tmp_path / "degraded", 4, 13, overrides=overrides, degraded=True))
    sizes = {Image.open(tmp_path / "degraded" / row["image"]).size for row in degraded}
    assert len(sizes) > 1
    for before, after in zip(clean, degraded, strict=True):
        factor = Image.open(tmp_path / "degraded" / after["image"]).width / 420
        assert float(after["mm_per_px"]) == pytest.approx(float(before["mm_per_px"]) / factor)
    with pytest.raises(ValueError, match="choose another folder"):
        write_dataset(tmp_path / "degraded", 5, 13, overrides=overrides)
