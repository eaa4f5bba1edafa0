"""Golden predictions: the predictions of a version on the golden plates, recorded with its archive.

This module imports no NumPy, because the start of the local platform reads archives (ADR 0010).
"""

from thale.schemas import FrozenModel, Landmark, ModelRef

GOLDEN_MEMBER = "golden.json"
"""The member of an archive with the golden predictions."""


class GoldenPrediction(FrozenModel):
    """Summary of a prediction on one golden plate. A pixel counts for its most probable class."""

    plate: str
    plate_sha256: str
    model: ModelRef
    classes: tuple[str, ...] = ()
    """All classes of a segmentation model."""
    area_px: dict[str, int] = {}
    """Area of each class in pixels of the plate."""
    dice: dict[str, float] = {}
    """Dice score against the truth, without organs that neither mask contains."""
    landmarks: tuple[Landmark, ...] = ()


class GoldenPredictions(FrozenModel):
    """The golden predictions of an archive: `golden.json`."""

    weights_sha256: str
    answers: tuple[GoldenPrediction, ...]
