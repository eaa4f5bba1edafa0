"""Registration: the plants of a phenotype in millimetres from the corner of their plate.

The origin is the plate's top left corner, and the axes are its upper edge and the perpendicular to it. Positions are
therefore comparable if the camera was moved, or if the plate has another size in pixels. Pixels are never compared.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from thale.schemas import Phenotype, Plant, Plate, TraitValue
from thale.series.schemas import Origin, PlatePosition
from thale.series.timestamps import Timestamp


@dataclass(frozen=True)
class RegisteredPlant:
    """One plant of one photograph, in millimetres on the plate."""

    number: int
    base_mm: NDArray[np.float64] | None
    """Root base, or the centre of the seed or shoot of a plant without roots. None if the plant has no position."""
    path_N2_mm: NDArray[np.float64] | None
    """Centre line of the primary root from base to tip. None without a root."""
    traits: dict[str, TraitValue]


@dataclass(frozen=True)
class Photograph:
    """One photograph of a plate at one time, with its registered plants."""

    phenotype: Phenotype
    timestamp: Timestamp
    origin: Origin
    plants: tuple[RegisteredPlant, ...]
    name: str

    @property
    def plate_side_mm(self) -> float:
        """Mean length of the plate's sides at the scale of the photograph; NaN without a plate edge or a scale."""
        plate, scale = self.phenotype.plate, self.phenotype.scale
        return _side_px(plate) * scale.mm_per_px if plate is not None and has_scale(self.phenotype) else math.nan

    @property
    def plate_side_px(self) -> float:
        """Mean length of the plate's sides in pixels; NaN without a plate edge."""
        return _side_px(self.phenotype.plate) if self.phenotype.plate is not None else math.nan


def register(phenotype: Phenotype, timestamp: Timestamp, name: str) -> Photograph:
    """Return a photograph with the positions of its plants. Without a scale, no plant has a position."""
    plate = phenotype.plate
    to_mm = _Transform(plate, phenotype.scale.mm_per_px) if has_scale(phenotype) else None
    plants = tuple(_register_plant(plant, to_mm) for plant in phenotype.plants)
    return Photograph(phenotype, timestamp, "image_corner" if plate is None else "plate_corner", plants, name)


def has_scale(phenotype: Phenotype) -> bool:
    """Return True if positions can be converted to millimetres. A client can send any number as scale."""
    scale = phenotype.scale
    return scale.is_known and math.isfinite(scale.mm_per_px) and scale.mm_per_px > 0


def to_position(point_mm: NDArray[np.float64] | None) -> PlatePosition | None:
    """Return a position for a response."""
    return None if point_mm is None else PlatePosition(x_mm=float(point_mm[0]), y_mm=float(point_mm[1]))


class _Transform:
    """Conversion of image pixels to millimetres on the plate."""

    def __init__(self, plate: Plate | None, mm_per_px: float) -> None:
        self._mm_per_px = mm_per_px
        self._corner, along = np.zeros(2), np.array([1.0, 0.0])
        if plate is not None:
            self._corner, right = (np.array([point.x, point.y]) for point in plate.corners[:2])
            with np.errstate(invalid="ignore", divide="ignore"):  # equal corners give no positions
                along = (right - self._corner) / np.hypot(*(right - self._corner))
        self._axes = np.stack([along, [-along[1], along[0]]])

    def __call__(self, points_N2: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
        offsets = np.asarray(points_N2, np.float64).reshape(-1, 2) - self._corner
        with np.errstate(invalid="ignore", over="ignore"):  # a client can send any number
            return cast(NDArray[np.float64], offsets @ self._axes.T * self._mm_per_px)


def _register_plant(plant: Plant, to_mm: _Transform | None) -> RegisteredPlant:
    path = base = None
    if to_mm is not None:
        primary = max((r for r in plant.roots if r.order == 1 and r.points), key=lambda r: r.length_px, default=None)
        path = _finite(to_mm(primary.points)) if primary is not None else None
        position = None if path is not None else _position_without_root(plant)
        placed = path if path is not None else None if position is None else _finite(to_mm([position]))
        base = None if placed is None else placed[0]
    return RegisteredPlant(plant.id, base, path, {trait.trait: _finite_trait(trait) for trait in plant.traits})


def _finite(points_N2: NDArray[np.float64]) -> NDArray[np.float64] | None:
    return points_N2 if bool(np.isfinite(points_N2).all()) else None


def _finite_trait(trait: TraitValue) -> TraitValue:
    """Return the trait, unknown or without its interval if these are not finite."""
    if not math.isfinite(trait.value):
        return trait.model_copy(update={"value": math.nan, "interval": None, "quality": "unknown"})
    if trait.interval is not None and not all(math.isfinite(bound) for bound in trait.interval):
        return trait.model_copy(update={"interval": None})
    return trait


def _position_without_root(plant: Plant) -> tuple[float, float] | None:
    """Return the root base of the landmark model, else the centre of the seed, else that of the shoot, in pixels."""
    bases = [landmark for landmark in plant.landmarks if landmark.kind == "root_base"]
    if bases:
        best = max(bases, key=lambda landmark: landmark.score)
        return best.x, best.y
    for kind in ("seed", "shoot"):
        points = [
            point
            for organ in plant.organs
            if organ.kind == kind
            for polygon in organ.polygons
            for point in zip(polygon[::2], polygon[1::2], strict=False)
        ]
        if points:
            x, y = np.mean(points, axis=0)
            return float(x), float(y)
    return None


def _side_px(plate: Plate) -> float:
    corners = np.array([(corner.x, corner.y) for corner in plate.corners])
    side = float(np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1).mean())
    return side if math.isfinite(side) and side > 0 else math.nan
