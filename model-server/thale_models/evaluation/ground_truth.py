"""Ground truth of a plate: mask, landmarks and roots, as far as its folder has them."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from thale.exports import rsml
from thale.phenotyping.quality.ridge_agreement import digital_length_px
from thale_models.dataset import Dataset, TrainingSample
from thale_models.synthesis.ground_truth import HYPOCOTYL_LENGTH, LEAF_COUNT

ROOTS_COLUMN = "roots"


@dataclass(frozen=True)
class GroundTruthPlant:
    """One plant: its root base, lengths in source pixels, and counts. Hypocotyl and leaves are NaN if unknown."""

    base_xy: tuple[float, float]
    primary_px: float
    total_px: float
    laterals: int
    hypocotyl_px: float = math.nan
    leaf_count: float = math.nan


@dataclass(frozen=True)
class GroundTruth:
    """Ground truth of one plate in source pixels. Unknown parts are None."""

    mask_HW: NDArray[np.uint8] | None
    landmarks: dict[str, NDArray[np.float64]] | None
    plants: tuple[GroundTruthPlant, ...] | None
    mm_per_px: float

    @property
    def total_root_px(self) -> float:
        """Length of all roots: of the polylines if known, else of the skeleton of the mask. NaN without both."""
        if self.plants is not None:
            return sum(plant.total_px for plant in self.plants)
        if self.mask_HW is None:
            return math.nan
        return skeleton_length_px(self.mask_HW == 1)


def find_rsml_files(folder: Path) -> dict[Path, Path]:
    """Return the RSML file of each image, from the optional column `roots` of the manifest."""
    with (folder / "manifest.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row.get(ROOTS_COLUMN)]
    return {folder / row["image"]: folder / row[ROOTS_COLUMN] for row in rows}


def read_ground_truth(
    mask_dataset: Dataset,
    mask_sample: TrainingSample | None,
    landmark_dataset: Dataset,
    landmark_sample: TrainingSample | None,
    rsml_path: Path | None,
) -> GroundTruth:
    """Read the ground truth of one plate.

    Raises:
        OSError: If a file cannot be read.
        ImageError: If the image cannot be decoded.
        AnnotationError: If labels or roots cannot be read, or do not fit the image.
    """
    samples = [sample for sample in (mask_sample, landmark_sample) if sample is not None]
    by_kind: dict[str, NDArray[np.float64]] | None = None
    if landmark_sample is not None:
        keypoints = landmark_dataset.read(landmark_sample).keypoints
        by_kind = {
            kind: np.array(
                [(keypoint.x, keypoint.y) for keypoint in keypoints if keypoint.kind == kind], float
            ).reshape(-1, 2)
            for kind in landmark_dataset.classes
        }
    return GroundTruth(
        mask_HW=mask_dataset.read(mask_sample).mask_HW if mask_sample is not None else None,
        landmarks=by_kind,
        plants=_plants_from_rsml(rsml_path.read_bytes()) if rsml_path is not None else None,
        mm_per_px=samples[0].mm_per_px if samples else math.nan,
    )


def _plants_from_rsml(data: bytes) -> tuple[GroundTruthPlant, ...]:
    plants = []
    for plant in rsml.read(data).plants:
        roots = list(plant.walk())
        primaries = [root for order, root in roots if order == 1 and root.points]
        if primaries:
            primary = max(primaries, key=lambda root: root.length_px)
            total = sum(root.length_px for _, root in roots)
            hypocotyl_px, leaves = (numeric_property(plant, name) for name in (HYPOCOTYL_LENGTH, LEAF_COUNT))
            laterals = sum(order > 1 for order, _ in roots)
            plants.append(GroundTruthPlant(primary.points[0], primary.length_px, total, laterals, hypocotyl_px, leaves))
    return tuple(plants)


def numeric_property(plant: rsml.RsmlPlant, name: str) -> float:
    """Return a property of a plant as a number; NaN if it is missing or not a number."""
    for prop in plant.properties:
        if prop.name == name:
            try:
                return float(prop.value)
            except ValueError:
                return math.nan
    return math.nan


def skeleton_length_px(mask_HW: NDArray[np.bool_]) -> float:
    """Return the length of a mask's skeleton in pixels."""
    return digital_length_px(skeletonize(mask_HW))
