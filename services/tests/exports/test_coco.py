"""Tests of the COCO export with pycocotools and with the reader of the training code."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from pycocotools.coco import COCO

from tests.support.sample_phenotypes import image_metadata, phenotype, phenotypes, seedling
from thale.exports import coco
from thale.schemas import Organ, Phenotype


def data_set(found: Iterable[Phenotype], **options: Any) -> dict[str, Any]:
    return dict(json.loads(coco.write(found, **options)))


def load_coco(found: Iterable[Phenotype], folder: Path, **options: Any) -> COCO:
    path = folder / "coco.json"
    path.write_bytes(coco.write(found, **options))
    return COCO(str(path))


@pytest.mark.parametrize("outline", ["polygon", "rle"])
def test_write_masks_have_measured_area_in_pycocotools(tmp_path: Path, outline: coco.Outline) -> None:
    read = load_coco([phenotype(seedling(), seedling(2, 250.0))], tmp_path, outline=outline)
    shoots = read.loadAnns(read.getAnnIds(catIds=read.getCatIds(catNms=["shoot"])))
    assert [annotation["plant"] for annotation in shoots] == [1, 2]
    for annotation in shoots:
        assert read.annToMask(annotation).shape == (300, 400)
        assert read.annToMask(annotation).sum() == pytest.approx(annotation["area"], rel=0.06)
        assert annotation["bbox"][2:] == [20.0, 20.0]


def test_write_landmark_is_annotation_with_one_keypoint(tmp_path: Path) -> None:
    read = load_coco([phenotype(seedling())], tmp_path)
    tips = read.loadAnns(read.getAnnIds(catIds=read.getCatIds(catNms=["lateral_tip"])))
    assert [tip["keypoints"] for tip in tips] == [[130.0, 190.0, 2]]
    assert read.loadCats(read.getCatIds(catNms=["lateral_tip"]))[0]["keypoints"] == ["lateral_tip"]


@pytest.mark.parametrize("content", ["organs", "landmarks", "all"])
@pytest.mark.parametrize("outline", ["polygon", "rle"])
def test_every_annotation_has_mask_in_pycocotools(tmp_path: Path, content: coco.Content, outline: coco.Outline) -> None:
    found = [phenotype(seedling()), phenotype(seedling(2), image=image_metadata("b.png", width=90, height=70))]
    read = load_coco(found, tmp_path, content=content, outline=outline)
    annotations = read.loadAnns(read.getAnnIds())
    assert annotations
    for annotation in annotations:
        image = read.loadImgs(annotation["image_id"])[0]
        mask = read.annToMask(annotation)
        assert mask.shape == (image["height"], image["width"])
        if "keypoints" in annotation:
            assert (annotation["area"], mask.sum()) == (0, 0)


def test_landmarks_can_be_scored_as_results(tmp_path: Path) -> None:
    read = load_coco([phenotype(seedling())], tmp_path, content="landmarks")
    fields = ("image_id", "category_id", "keypoints", "score", "segmentation")
    results = [{name: each[name] for name in fields} for each in read.dataset["annotations"]]
    scored = read.loadRes(results)
    assert len(scored.getAnnIds()) == 3
    assert not any(scored.annToMask(annotation).any() for annotation in scored.loadAnns(scored.getAnnIds()))


def test_write_content_selects_organs_or_landmarks() -> None:
    for content, kinds in (("organs", {"shoot"}), ("landmarks", {"root_base", "primary_tip", "lateral_tip"})):
        written = data_set([phenotype(seedling())], content=content)
        names = {category["id"]: category["name"] for category in written["categories"]}
        assert {names[annotation["category_id"]] for annotation in written["annotations"]} == kinds


def test_write_ids_are_consecutive_over_all_images() -> None:
    written = data_set([phenotype(seedling(), image=image_metadata(f"{n}.png")) for n in range(3)])
    assert [image["id"] for image in written["images"]] == [1, 2, 3]
    ids = [annotation["id"] for annotation in written["annotations"]]
    assert ids == list(range(1, len(ids) + 1))


def test_write_distinguishes_images_of_equal_name() -> None:
    found = [phenotype(image=image_metadata(sha256=digest)) for digest in ("ab" * 32, "cd" * 32, "cd" * 32)]
    names = [image["file_name"] for image in data_set([*found, phenotype(image=image_metadata("other.png"))])["images"]]
    assert names == ["abababababab/plate.png", "cdcdcdcdcdcd/plate.png", "cdcdcdcdcdcd-2/plate.png", "other.png"]


def test_write_names_unnamed_image_by_digest() -> None:
    assert data_set([phenotype(image=image_metadata(None))])["images"][0]["file_name"] == "abababababab.png"


def test_write_accepts_zero_images(tmp_path: Path) -> None:
    assert load_coco([], tmp_path).getImgIds() == []


@pytest.mark.parametrize("outline", ["polygon", "rle"])
def test_write_organ_without_outline_has_empty_mask(tmp_path: Path, outline: coco.Outline) -> None:
    bare = Organ(
        kind="seed", ontology_id="PO:0009010", area_px=3, area_mm2=0.1, confidence=0.5, polygons=((1, 1, 2, 2),)
    )
    read = load_coco([phenotype(seedling().model_copy(update={"organs": (bare,)}))], tmp_path, outline=outline)
    annotation = read.loadAnns(read.getAnnIds(catIds=read.getCatIds(catNms=["seed"])))[0]
    assert not np.any(read.annToMask(annotation))


def test_training_labels_read_exported_files(tmp_path: Path) -> None:
    labels = pytest.importorskip("thale_models.labels", reason="the model packages are not installed")
    found = phenotype(seedling())
    organs, landmarks = tmp_path / "organs.json", tmp_path / "landmarks.json"
    organs.write_bytes(coco.write([found], content="organs"))
    landmarks.write_bytes(coco.write([found], content="landmarks"))
    mask = labels.read_mask(organs, "plate.png", ("background", "root", "shoot", "seed"), 300, 400)
    assert np.count_nonzero(mask == 2) == pytest.approx(400, rel=0.06)
    keypoints = labels.read_keypoints(landmarks, "plate.png", ("root_base", "primary_tip", "lateral_tip"), 300, 400)
    assert [(keypoint.kind, keypoint.x, keypoint.y) for keypoint in keypoints] == [
        ("root_base", 100.0, 50.0), ("primary_tip", 100.0, 250.0), ("lateral_tip", 130.0, 190.0),
    ]  # fmt: skip


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(phenotypes())
def test_write_any_phenotype_is_json_without_nan(found: Phenotype) -> None:
    written = data_set([found, found])
    assert len({image["file_name"] for image in written["images"]}) == 2
    assert b"NaN" not in coco.write([phenotype(seedling(), scale=found.scale)])
