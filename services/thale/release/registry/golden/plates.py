"""The golden plates of this package. `thale-models golden-plates` renders them from their seeds."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter

from thale.schemas import FrozenModel, Landmark

ORGANS = ("root", "shoot", "seed")
"""The classes 1, 2 and 3 of the masks."""
TRUTH_FILE = "truth.json"

_FOLDER = Path(__file__).parent / "plates"


class GoldenGroundTruth(FrozenModel):
    """The truth of a golden plate except its mask: one entry of truth.json."""

    name: str
    mm_per_px: float
    landmarks: tuple[Landmark, ...]


TRUTHS = TypeAdapter(tuple[GoldenGroundTruth, ...])


@dataclass(frozen=True)
class GoldenPlate:
    """An encoded image and its truth. Mask values are 0 for background, then the index in `ORGANS` plus 1."""

    name: str
    image: bytes
    mm_per_px: float
    mask_HW: NDArray[np.uint8]
    landmarks: tuple[Landmark, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the image, which identifies the plate."""
        return hashlib.sha256(self.image).hexdigest()


@cache
def golden_plates() -> tuple[GoldenPlate, ...]:
    """Read the plates."""
    return tuple(
        GoldenPlate(
            name=truth.name,
            image=(_FOLDER / f"{truth.name}.jpg").read_bytes(),
            mm_per_px=truth.mm_per_px,
            mask_HW=np.asarray(Image.open(_FOLDER / f"{truth.name}-mask.png"), np.uint8),
            landmarks=truth.landmarks,
        )
        for truth in TRUTHS.validate_json((_FOLDER / TRUTH_FILE).read_bytes())
    )
