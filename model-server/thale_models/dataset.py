"""Folder of labelled images, read and validated by its manifest.csv before training starts.

manifest.csv has the columns `image, plant, split, mask, landmarks, mm_per_px`. Paths are relative to the folder.
`split` is train, val or test. `plant` identifies the plant or plate in an image. All images of one plant belong to one
split, because a network recognises a plant from earlier images (data leakage). `mm_per_px` is empty if the scale is
unknown. Columns that a task does not need may be empty or missing.
"""

import csv
import hashlib
import logging
import math
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from thale.errors import AnnotationError, DatasetError, ImageError
from thale.host.files import write_atomically
from thale.imaging.image_io import decode
from thale.schemas import Task
from thale_models.labels import Keypoint, read_keypoints, read_mask

logger = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
LANDMARK_KINDS = ("root_base", "primary_tip", "lateral_tip", "leaf_tip")
_MM_PER_PX_RANGE = (0.001, 2.0)
_LABEL_COLUMN = {"segmentation": "mask", "landmarks": "landmarks"}


@dataclass(frozen=True)
class TrainingSample:
    """One row of the manifest, for one task."""

    image: Path
    labels: Path
    plant: str
    split: str
    mm_per_px: float
    """NaN if the scale is unknown."""


@dataclass(frozen=True)
class Picture:
    """One decoded sample: an image with its labels, either in `mask_HW` or in `keypoints`."""

    image_HW3: NDArray[np.uint8]
    mask_HW: NDArray[np.uint8] | None = None
    keypoints: tuple[Keypoint, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """The samples of a validated folder that have labels for a task."""

    folder: Path
    task: Task
    classes: tuple[str, ...]
    samples: tuple[TrainingSample, ...]
    digest: str
    """SHA-256 of manifest.csv."""

    def split(self, name: str) -> tuple[TrainingSample, ...]:
        """Return the samples of one split, in the order of the manifest."""
        return tuple(sample for sample in self.samples if sample.split == name)

    def read(self, sample: TrainingSample) -> Picture:
        """Decode one sample.

        Raises:
            OSError: If the image file cannot be read.
            ImageError: If the image cannot be decoded.
            AnnotationError: If its labels cannot be read or do not fit the image.
        """
        image_HW3 = decode(sample.image.read_bytes())
        if self.task == "segmentation":
            mask_HW = read_mask(sample.labels, sample.image.name, self.classes, *image_HW3.shape[:2])
            return Picture(image_HW3, mask_HW=mask_HW)
        keypoints = read_keypoints(sample.labels, sample.image.name, LANDMARK_KINDS, *image_HW3.shape[:2])
        height, width = image_HW3.shape[:2]
        for keypoint in keypoints:
            if not (-0.5 <= keypoint.x <= width - 0.5 and -0.5 <= keypoint.y <= height - 0.5):
                raise AnnotationError(
                    f"has a landmark at ({keypoint.x:g}, {keypoint.y:g}), outside {width} x {height} px"
                )
        return Picture(image_HW3, keypoints=tuple(keypoint for keypoint in keypoints if keypoint.kind in self.classes))


def read_dataset(
    folder: Path, task: Task, classes: tuple[str, ...], required_splits: Iterable[str], stamp: Path | None = None
) -> Dataset:
    """Read and validate a folder of training data: its manifest, and every file in the manifest.

    Args:
        folder: The folder with manifest.csv.
        task: The task, which selects the labels.
        classes: The names of the classes, background first, or the kinds of landmark.
        required_splits: The splits that must not be empty.
        stamp: A file that records a successful validation. Until a file changes, a later call decodes no image again.

    Raises:
        DatasetError: If the data have problems. It lists all of them.
    """
    manifest = folder / "manifest.csv"
    rows = _read_rows(manifest)
    problems: list[str] = []
    samples = [sample for line, row in rows if (sample := _parse_row(folder, line, row, task, problems))]
    problems += _find_split_problems(samples, required_splits, _LABEL_COLUMN[task])
    dataset = Dataset(folder, task, classes, tuple(samples), hashlib.sha256(manifest.read_bytes()).hexdigest())
    digest = _file_state_digest(dataset) if stamp else ""
    if stamp and not problems and stamp.exists() and stamp.read_text(encoding="ascii") == digest:
        return dataset
    problems += _find_file_problems(dataset)
    if problems:
        raise DatasetError(str(folder), problems)
    if stamp:
        write_atomically(stamp, digest.encode())
    return dataset


def _file_state_digest(dataset: Dataset) -> str:
    """Return a digest of the validated files, by size and modification time."""
    digest = hashlib.sha256(f"{dataset.digest} {dataset.task} {dataset.classes}".encode())
    for sample in dataset.samples:
        for path in (sample.image, sample.labels):
            status = path.stat()
            digest.update(f" {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()


def _read_rows(manifest: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            # Spreadsheets in countries with a decimal comma write semicolons.
            delimiter = ";" if header.count(";") > header.count(",") else ","
            reader = csv.DictReader(file, restval="", restkey="surplus", delimiter=delimiter)
            missing = {"image", "plant", "split"} - set(reader.fieldnames or ())
            if missing:
                problem = f"manifest.csv: has no column {', '.join(sorted(missing))}"
                raise DatasetError(str(manifest.parent), [problem])
            return [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(str(manifest.parent), [f"manifest.csv: cannot be read: {error}"]) from error


def _parse_row(folder: Path, line: int, row: dict[str, str], task: Task, problems: list[str]) -> TrainingSample | None:
    """Return the sample of a row, or None if the row has no labels for the task or has problems."""
    location = f"manifest.csv line {line}"
    row_problems: list[str] = []
    if "surplus" in row:
        row_problems.append(f"{location}: has more fields than the header")
    image = _resolve_path(folder, row["image"], f"{location}: image", row_problems)
    if row["split"] not in SPLITS:
        row_problems.append(f"{location}: split is {row['split']!r}; it must be train, val or test")
    if not row["plant"].strip():
        row_problems.append(f"{location}: plant is empty; it names the plant or plate that the image shows")
    mm_per_px = _parse_mm_per_px(row.get("mm_per_px", ""), location, row_problems)
    column = _LABEL_COLUMN[task]
    labels = (
        _resolve_path(folder, row[column], f"{location}: {column}", row_problems)
        if row.get(column, "").strip()
        else None
    )
    problems += row_problems
    if row_problems or image is None or labels is None:
        return None
    return TrainingSample(image, labels, row["plant"].strip(), row["split"], mm_per_px)


def _resolve_path(folder: Path, text: str, location: str, problems: list[str]) -> Path | None:
    if not text.strip():
        problems.append(f"{location} is empty")
        return None
    path = folder / text.strip()
    if not path.resolve().is_relative_to(folder.resolve()):
        problems.append(
            f"{location} {text!r} lies outside the folder; copy it into the folder and use its relative path"
        )
        return None
    if not path.is_file():
        problems.append(f"{location} {text!r} does not exist")
        return None
    return path


def _parse_mm_per_px(text: str, location: str, problems: list[str]) -> float:
    if not text.strip():
        return math.nan
    min_value, max_value = _MM_PER_PX_RANGE
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not min_value <= value <= max_value:
        problems.append(
            f"{location}: mm_per_px is {text!r}; it must be a number from {min_value} to {max_value}, or empty"
        )
    return value


def _find_split_problems(samples: list[TrainingSample], required_splits: Iterable[str], column: str) -> list[str]:
    problems = []
    splits_by_plant: dict[str, set[str]] = defaultdict(set)
    rows_by_image: dict[Path, int] = defaultdict(int)
    for sample in samples:
        splits_by_plant[sample.plant].add(sample.split)
        rows_by_image[sample.image.resolve()] += 1
    for plant, splits in splits_by_plant.items():
        if len(splits) > 1:
            problems.append(f"plant {plant!r} is in {' and '.join(sorted(splits))}; all its images belong in one split")
    problems += [
        f"{image.name}: has {count} rows in the manifest" for image, count in rows_by_image.items() if count > 1
    ]
    present_splits = {sample.split for sample in samples}
    problems += [
        f"split {name!r} has no image with a {column} file" for name in required_splits if name not in present_splits
    ]
    return problems


def _find_file_problems(dataset: Dataset) -> list[str]:
    """Return the problems of the files, in the order of the manifest. Every file is decoded once."""
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda sample: _find_file_problem(dataset, sample), dataset.samples)
        progress = tqdm(results, "checking", total=len(dataset.samples), unit="image", leave=False, disable=None)
        return [problem for problem in progress if problem]


def _find_file_problem(dataset: Dataset, sample: TrainingSample) -> str | None:
    try:
        dataset.read(sample)
    except (ImageError, OSError) as error:
        return f"{sample.image.relative_to(dataset.folder)}: {error}"
    except AnnotationError as error:
        return f"{sample.labels.relative_to(dataset.folder)}: {error}"
    return None
