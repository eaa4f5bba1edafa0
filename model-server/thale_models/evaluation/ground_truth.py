"""What is known of a plate: as much of mask, landmarks and roots as its folder holds."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from thale.exports import rsml
from thale.phenotyping.quality.ridge_agreement import digital_length_px
from thale_models.dataset import Dataset, Sample
from thale_models.synthesis.ground_truth import HYPOCOTYL_LENGTH, LEAF_COUNT

ROOTS_COLUMN = "roots"


@dataclass(frozen=True)
class TruePlant:
    """One plant: where its root begins, and lengths in source pixels. Hypocotyl and leaves are NaN where not told."""

    base_xy: tuple[float, float]
    primary_px: float
    total_px: float
    laterals: int
    hypocotyl_px: float = math.nan
    leaves: float = math.nan


@dataclass(frozen=True)
class Truth:
    """What is known of one plate, in source pixels. A part that is not known is None."""

    mask_HW: NDArray[np.uint8] | None
    marks: dict[str, NDArray[np.float64]] | None
    plants: tuple[TruePlant, ...] | None
    mm_per_px: float

    @property
    def total_root_px(self) -> float:
        """Length of all roots: of the polylines where they are known, else of the mask's skeleton."""
        if self.plants is not None:
            return sum(plant.total_px for plant in self.plants)
        if self.mask_HW is None:
            return math.nan
        return skeleton_length_px(self.mask_HW == 1)


def roots_files(folder: Path) -> dict[Path, Path]:
    """Return the RSML file of each image of a folder whose manifest has the optional column `roots`."""
    with (folder / "manifest.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row.get(ROOTS_COLUMN)]
    return {folder / row["image"]: folder / row[ROOTS_COLUMN] for row in rows}


def read_truth(masks: Dataset, mask: Sample | None, marks: Dataset, mark: Sample | None, roots: Path | None) -> Truth:
    """Read the truth of one plate.

    Raises:
        AnnotationError: If one of its files cannot be read.
    """
    known = [sample for sample in (mask, mark) if sample is not None]
    by_kind: dict[str, NDArray[np.float64]] | None = None
    if mark is not None:
        found = marks.read(mark).marks
        by_kind = {
            kind: np.array([(m.x, m.y) for m in found if m.kind == kind], float).reshape(-1, 2)
            for kind in marks.classes
        }
    return Truth(
        mask_HW=masks.read(mask).mask_HW if mask is not None else None,
        marks=by_kind,
        plants=_plants(roots.read_bytes()) if roots is not None else None,
        mm_per_px=known[0].mm_per_px if known else math.nan,
    )


def _plants(data: bytes) -> tuple[TruePlant, ...]:
    plants = []
    for plant in rsml.read(data).plants:
        roots = list(plant.walk())
        primaries = [root for order, root in roots if order == 1 and root.points]
        if primaries:
            primary = max(primaries, key=lambda root: root.length_px)
            total = sum(root.length_px for _, root in roots)
            hypocotyl_px, leaves = (_property(plant, name) for name in (HYPOCOTYL_LENGTH, LEAF_COUNT))
            laterals = len(roots) - len(primaries)
            plants.append(TruePlant(primary.points[0], primary.length_px, total, laterals, hypocotyl_px, leaves))
    return tuple(plants)


def _property(plant: rsml.RsmlPlant, name: str) -> float:
    """Return a plant's property as a number; NaN where it has none, or one that is no number."""
    for each in plant.properties:
        if each.name == name:
            try:
                return float(each.value)
            except ValueError:
                return math.nan
    return math.nan


def skeleton_length_px(mask_HW: NDArray[np.bool_]) -> float:
    """Return the length of a mask's skeleton in pixels."""
    return digital_length_px(skeletonize(mask_HW))
