"""A model's own answers about the golden plates, as an archive holds them. Needs no NumPy: no start waits for it."""

from thale.schemas import FrozenModel, Landmark, ModelRef

GOLDEN_MEMBER = "golden.json"
"""The model's own answers in an archive."""


class GoldenPrediction(FrozenModel):
    """A model's answer about one golden plate. Areas are pixels of the plate, each counted for its likeliest class."""

    plate: str
    plate_sha256: str
    model: ModelRef
    classes: tuple[str, ...] = ()
    """Of a segmentation: all that it tells apart."""
    area_px: dict[str, int] = {}
    dice: dict[str, float] = {}
    """Against the truth; organs that neither has are left out."""
    landmarks: tuple[Landmark, ...] = ()


class GoldenPredictions(FrozenModel):
    """A model's own answers, made when it was archived: `golden.json`."""

    weights_sha256: str
    answers: tuple[GoldenPrediction, ...]
