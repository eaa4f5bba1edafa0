"""Tests of reading training data: labels of a valid folder, and all problems of an invalid one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.tiny_plates import SIZE_PX, write_manifest, write_plate_folder
from thale.errors import DatasetError
from thale_models.dataset import Dataset, read_dataset

CLASSES = ("background", "root", "shoot", "seed")
KINDS = ("root_base", "primary_tip")
Rows = list[dict[str, str]]


def read(folder: Path) -> Dataset:
    return read_dataset(folder, "segmentation", CLASSES, required_splits=("train", "val"))


def read_landmarks(folder: Path) -> Dataset:
    return read_dataset(folder, "landmarks", KINDS, required_splits=("train", "val"))


def find_problems(folder: Path, reader: Callable[[Path], Dataset] = read) -> list[str]:
    with pytest.raises(DatasetError) as caught:
        reader(folder)
    return caught.value.problems


def test_read_dataset_returns_images_with_labels(tmp_path: Path) -> None:
    write_plate_folder(tmp_path)
    dataset = read(tmp_path)
    assert len(dataset.split("train")) == 4
    assert len(dataset.split("val")) == 2
    picture = dataset.read(dataset.samples[0])
    assert picture.image_HW3.shape == (SIZE_PX, SIZE_PX, 3)
    assert picture.mask_HW is not None
    assert set(np.unique(picture.mask_HW)) == {0, 1, 2, 3}
    assert [
        keypoint.kind for keypoint in read_landmarks(tmp_path).read(first_landmark_sample(tmp_path)).keypoints
    ] == list(KINDS) * 2


def first_landmark_sample(folder: Path):  # type: ignore[no-untyped-def]
    return read_landmarks(folder).samples[0]


def set_field(name: str, value: str) -> Callable[[Path, Rows], None]:
    return lambda _, rows: rows[0].update({name: value})


def truncate_image(folder: Path, _: Rows) -> None:
    data = (folder / "plate0.png").read_bytes()
    (folder / "plate0.png").write_bytes(data[: len(data) // 2])


def shrink_mask(folder: Path, _: Rows) -> None:
    Image.new("L", (50, 40)).save(folder / "plate0_mask.png")


def set_unknown_class(folder: Path, _: Rows) -> None:
    Image.new("L", (SIZE_PX, SIZE_PX), 7).save(folder / "plate0_mask.png")


def colourise_mask(folder: Path, _: Rows) -> None:
    Image.new("RGB", (SIZE_PX, SIZE_PX)).save(folder / "plate0_mask.png")


def put_plant_in_both_splits(_: Path, rows: Rows) -> None:
    rows[5]["plant"] = rows[0]["plant"]


def remove_validation_split(_: Path, rows: Rows) -> None:
    for row in rows:
        row["split"] = "train"


def duplicate_row(_: Path, rows: Rows) -> None:
    rows.append(rows[0])


def link_image_outside(folder: Path, _: Rows) -> None:
    (folder / "plate0.png").rename(folder.parent / "elsewhere.png")
    (folder / "plate0.png").symlink_to(folder.parent / "elsewhere.png")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("break_dataset", "message"),
    [
        (set_field("image", "gone.png"), "line 2: image 'gone.png' does not exist"),
        (set_field("image", ""), "line 2: image is empty"),
        (set_field("image", "../plate0.png"), "lies outside the folder"),
        (set_field("image", "/etc/hostname"), "lies outside the folder"),
        (set_field("image", "plate0_landmarks.json"), "plate0_landmarks.json: this looks like JSON"),
        (set_field("mask", "gone.png"), "line 2: mask 'gone.png' does not exist"),
        (set_field("split", "validation"), "line 2: split is 'validation'"),
        (set_field("plant", " "), "line 2: plant is empty"),
        (set_field("mm_per_px", "-0.05"), "line 2: mm_per_px is '-0.05'"),
        (set_field("mm_per_px", "nan"), "line 2: mm_per_px is 'nan'"),
        (set_field("mm_per_px", "600 dpi"), "line 2: mm_per_px is '600 dpi'"),
        (link_image_outside, "lies outside the folder"),
        (truncate_image, "plate0.png: the pixels of the PNG cannot be decoded completely"),
        (shrink_mask, "plate0_mask.png: has 50 x 40 px, but its image has 96 x 96 px"),
        (set_unknown_class, "plate0_mask.png: contains class 7"),
        (colourise_mask, "plate0_mask.png: is a RGB image"),
        (put_plant_in_both_splits, "plant 'plate0' is in train and val"),
        (remove_validation_split, "split 'val' has no image with a mask file"),
        (duplicate_row, "plate0.png: has 2 rows"),
    ],
)
def test_read_dataset_reports_each_problem_once(
    tmp_path: Path, break_dataset: Callable[[Path, Rows], None], message: str
) -> None:
    folder = tmp_path / "data"
    rows = write_plate_folder(folder)
    break_dataset(folder, rows)
    write_manifest(folder, rows)
    problems = find_problems(folder)
    assert len([problem for problem in problems if message in problem]) == 1, problems
    assert len(problems) == 1


def test_read_dataset_reports_all_problems_at_once(tmp_path: Path) -> None:
    rows = write_plate_folder(tmp_path)
    shrink_mask(tmp_path, rows)
    rows[1]["image"] = "gone.png"
    rows[2]["mm_per_px"] = "0"
    write_manifest(tmp_path, rows)
    assert len(find_problems(tmp_path)) == 3


def test_read_dataset_reports_splits_without_labels(tmp_path: Path) -> None:
    rows = write_plate_folder(tmp_path)
    write_manifest(tmp_path, [{**row, "mask": ""} for row in rows])
    assert find_problems(tmp_path) == [f"split '{name}' has no image with a mask file" for name in ("train", "val")]
    assert len(read_landmarks(tmp_path).samples) == 6


def test_read_dataset_reports_an_invalid_manifest(tmp_path: Path) -> None:
    assert "manifest.csv: cannot be read" in find_problems(tmp_path)[0]
    (tmp_path / "manifest.csv").write_text("image,mask\n")
    assert find_problems(tmp_path) == ["manifest.csv: has no column plant, split"]
    (tmp_path / "manifest.csv").write_bytes(b"image,plant,split\n\xff\xfe,\n")
    assert "manifest.csv: cannot be read" in find_problems(tmp_path)[0]


def test_read_dataset_stamp_skips_validation_until_a_change(tmp_path: Path) -> None:
    rows = write_plate_folder(tmp_path)
    stamp = tmp_path / "stamp"

    def check() -> Dataset:
        return read_dataset(tmp_path, "segmentation", CLASSES, required_splits=("train",), stamp=stamp)

    check()
    assert check().digest == read(tmp_path).digest
    shrink_mask(tmp_path, rows)
    with pytest.raises(DatasetError):
        check()


def test_read_dataset_reads_a_manifest_with_semicolons(tmp_path: Path) -> None:
    """Spreadsheets in countries with a decimal comma write them, with a byte order mark."""
    write_plate_folder(tmp_path)
    samples = read(tmp_path).samples
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\ufeff" + manifest.read_text().replace(",", ";"))
    assert [sample.image for sample in read(tmp_path).samples] == [sample.image for sample in samples]
