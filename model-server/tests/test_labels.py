"""Tests of label readers: equal masks and keypoints from all formats, and messages about invalid files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.support.tiny_plates import SIZE_PX, coco_keypoints
from thale.errors import AnnotationError
from thale_models.labels import Keypoint, read_keypoints, read_mask

CLASSES = ("background", "root", "shoot", "seed")
KINDS = ("root_base", "primary_tip", "lateral_tip")
SQUARE = [[10, 5, 30, 5, 30, 15, 10, 15]]


def write_coco(
    path: Path, segmentation: Any, category: str = "shoot", file_names: tuple[str, ...] = ("a.png",)
) -> Path:
    path.write_text(
        json.dumps(
            {
                "images": [{"id": number, "file_name": name} for number, name in enumerate(file_names, 1)],
                "categories": [{"id": 9, "name": category}],
                "annotations": [{"id": 1, "image_id": 1, "category_id": 9, "segmentation": segmentation}],
            }
        )
    )
    return path


def test_read_mask_accepts_polygons_and_both_kinds_of_rle(tmp_path: Path) -> None:
    truth = np.zeros((40, 50), np.uint8)
    truth[5:15, 10:30] = 1
    compressed = coco_mask.encode(np.asfortranarray(truth))
    runs = np.flatnonzero(np.diff(np.concatenate([[0], truth.T.ravel(), [0]])))
    counts = np.diff(np.concatenate([[0], runs, [truth.size]])).tolist()
    for shape in (
        SQUARE,
        {"size": [40, 50], "counts": compressed["counts"].decode()},
        {"size": [40, 50], "counts": counts},
    ):
        mask = read_mask(write_coco(tmp_path / "labels.json", shape), "a.png", CLASSES, 40, 50)
        assert np.array_equal(mask == 2, truth == 1)
        assert set(np.unique(mask)) == {0, 2}


def test_read_mask_selects_the_image_by_file_name(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "labels.json", SQUARE, file_names=("images/a.png", "b.png"))
    assert read_mask(path, "a.png", CLASSES, 40, 50).any()
    assert not read_mask(path, "b.png", CLASSES, 40, 50).any()
    with pytest.raises(AnnotationError, match="describes 0 images"):
        read_mask(path, "c.png", CLASSES, 40, 50)


@pytest.mark.parametrize(
    ("segmentation", "category", "message"),
    [
        (SQUARE, "petal", "category 'petal'"),
        ({"size": [4, 5], "counts": [20]}, "root", "neither polygons nor RLE of 40 x 50"),
        ({"counts": [2000]}, "root", "neither polygons nor RLE"),
        (None, "root", "neither polygons nor RLE"),
        ("text", "root", "neither polygons nor RLE"),
        ([], "root", "no polygon"),
        ([[1, 2, "three", 4, 5, 6]], "root", "cannot be rasterised"),
        ([[1, 2, 3]], "root", "cannot be rasterised"),
        ([[1, 2, 3, 4]], "root", "at least 3 points"),
        ([[1e9, 1, 1e9, 5, 3, 1e9]], "root", "far outside"),
        ([[float("nan")] * 6], "root", "far outside"),
        ({"size": [40, 50], "counts": [100, 50]}, "root", "add up to 2000"),
        ({"size": [40, 50], "counts": [99999]}, "root", "add up to 2000"),
        ({"size": [40, 50], "counts": [-5, 2005]}, "root", "add up to 2000"),
        ({"size": [40, 50], "counts": [10**30, 5]}, "root", "add up to 2000"),
        ({"size": [40, 50], "counts": [1999.5, 0.5]}, "root", "add up to 2000"),
        ({"size": [40, 50]}, "root", "add up to 2000"),
        ({"size": [40, 50], "counts": "PPPP"}, "root", "end within a run"),
        ({"size": [40, 50], "counts": "o" * 100}, "root", "not a COCO RLE"),
        ({"size": [40, 50], "counts": "\u2603"}, "root", "not a COCO RLE"),
    ],
)
def test_read_mask_names_an_invalid_region(tmp_path: Path, segmentation: Any, category: str, message: str) -> None:
    path = write_coco(tmp_path / "labels.json", segmentation, category)
    with pytest.raises(AnnotationError, match=message):
        read_mask(path, "a.png", CLASSES, 40, 50)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "{", "[" * 100_000, '{"images": [], "annotations": [], "categories": 3}']
)
def test_readers_reject_files_that_are_not_coco(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(AnnotationError):
        read_mask(path, "a.png", CLASSES, 40, 50)
    with pytest.raises(AnnotationError):
        read_keypoints(path, "a.png", KINDS, SIZE_PX, SIZE_PX)


def test_read_keypoints_accepts_coco_per_landmark_or_per_plant(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    coco = coco_keypoints("a.png", [("root_base", 3, 4), ("primary_tip", 5, 60)])
    path.write_text(json.dumps(coco))
    expected = (Keypoint("root_base", 3, 4), Keypoint("primary_tip", 5, 60))
    assert read_keypoints(path, "a.png", KINDS, SIZE_PX, SIZE_PX) == expected
    coco["categories"] = [{"id": 1, "name": "plant", "keypoints": ["root_base", "primary_tip", "lateral_tip"]}]
    coco["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1, "keypoints": [3, 4, 2, 5, 60, 1, 0, 0, 0]}]
    path.write_text(json.dumps(coco))
    assert read_keypoints(path, "a.png", KINDS, SIZE_PX, SIZE_PX) == expected


def test_read_keypoints_names_an_invalid_keypoint(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    coco: dict[str, Any] = coco_keypoints("a.png", [("root_base", 3, 4)])
    path.write_text(json.dumps(coco))
    with pytest.raises(AnnotationError, match="a landmark 'root_base'"):
        read_keypoints(path, "a.png", ("leaf_tip",), SIZE_PX, SIZE_PX)
    coco["annotations"][0]["keypoints"] = [3, 4]
    path.write_text(json.dumps(coco))
    with pytest.raises(AnnotationError, match="annotation 1"):
        read_keypoints(path, "a.png", KINDS, SIZE_PX, SIZE_PX)
    coco["annotations"][0]["keypoints"] = [3, None, 2]
    path.write_text(json.dumps(coco))
    with pytest.raises(AnnotationError):
        read_keypoints(path, "a.png", KINDS, SIZE_PX, SIZE_PX)


def test_read_keypoints_reads_bases_and_tips_from_rsml(tmp_path: Path) -> None:
    def polyline(*points: tuple[int, int]) -> str:
        listed = "".join(f'<point x="{x}" y="{y}"/>' for x, y in points)
        return f"<geometry><polyline>{listed}</polyline></geometry>"

    path = tmp_path / "roots.rsml"
    lateral = f'<root id="1.1">{polyline((5, 10), (15, 20))}</root>'
    path.write_text(
        "<rsml><metadata><version>1</version><unit>pixel</unit><resolution>1</resolution></metadata><scene>"
        f'<plant id="1"><root id="1">{polyline((5, 1), (5, 40))}{lateral}</root></plant></scene></rsml>'
    )
    assert read_keypoints(path, "a.png", KINDS, SIZE_PX, SIZE_PX) == (
        Keypoint("root_base", 5, 1),
        Keypoint("primary_tip", 5, 40),
        Keypoint("lateral_tip", 15, 20),
    )
    path.write_text("<html/>")
    with pytest.raises(AnnotationError):
        read_keypoints(path, "a.png", KINDS, SIZE_PX, SIZE_PX)


def test_read_keypoints_names_an_undefined_category(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    coco: dict[str, Any] = coco_keypoints("a.png", [("root_base", 3, 4)])
    coco["categories"] = []
    path.write_text(json.dumps(coco))
    with pytest.raises(AnnotationError, match="annotation 1 has category 1"):
        read_keypoints(path, "a.png", KINDS, SIZE_PX, SIZE_PX)


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (25, 20, r"labels are for 25 x 20 px, the image is 50 x 40: export the labels of this image"),
        (40, 50, r"labels are for 40 x 50 px, the image is 50 x 40: width and height are exchanged"),
        (4000, 3000, r"labels are for 4000 x 3000 px, the image is 50 x 40"),
    ],
)
def test_readers_reject_coco_labels_of_another_size(tmp_path: Path, width: int, height: int, message: str) -> None:
    # Labels of a reduced or unturned copy are at other positions. Without this check, they train the wrong pixels.
    masks, points = write_coco(tmp_path / "labels.json", SQUARE), tmp_path / "marks.json"
    points.write_text(json.dumps(coco_keypoints("a.png", [("root_base", 3, 4)])))
    for path in (masks, points):
        coco = json.loads(path.read_text())
        coco["images"][0] |= {"width": width, "height": height}
        path.write_text(json.dumps(coco))
    with pytest.raises(AnnotationError, match=message):
        read_mask(masks, "a.png", CLASSES, 40, 50)
    with pytest.raises(AnnotationError, match=message):
        read_keypoints(points, "a.png", KINDS, 40, 50)


@pytest.mark.parametrize("size", [{}, {"width": 50, "height": 40}, {"width": None, "height": None}])
def test_read_mask_accepts_coco_without_or_with_equal_size(tmp_path: Path, size: dict[str, Any]) -> None:
    path = write_coco(tmp_path / "labels.json", SQUARE)
    coco = json.loads(path.read_text())
    coco["images"][0] |= size
    path.write_text(json.dumps(coco))
    assert read_mask(path, "a.png", CLASSES, 40, 50).any()
