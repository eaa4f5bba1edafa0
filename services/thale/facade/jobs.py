"""What is asked of the measuring processes, and what they answer: bytes and frozen records.

The work itself is done in `measuring`. It is imported within the functions, which run in those processes, so that the
server starts a second sooner without SciPy and scikit-image.
"""

from dataclasses import dataclass

from thale.contract import ImageFacts, ModelRef
from thale.facade.model_answer import Answer

JSON, PNG, RSML, CSV, NPZ = "application/json", "image/png", "application/rsml+xml", "text/csv", "application/x-npz"

PHENOTYPE_TYPES = (JSON, PNG, RSML, CSV)
SEGMENT_TYPES = (JSON, NPZ, PNG)


@dataclass(frozen=True)
class Measurement:
    """Everything that a phenotype is made of."""

    facts: ImageFacts
    segmentation: Answer
    landmarks: Answer
    config_digest: str
    package_version: str
    created: str
    expected_plants: int | None
    media_type: str
    wide: bool
    image: bytes
    """Empty unless the overlay is asked for."""
    page: int | None
    started: float
    """When the request began, on the monotonic clock that all processes share."""


@dataclass(frozen=True)
class Rendered:
    """An answer as it goes to the client, and what the operators count."""

    body: bytes
    media_type: str
    models: tuple[ModelRef, ...] = ()
    plants: int = 0
    scale_source: str = ""


def measure(work: Measurement) -> Rendered:
    """Run `measuring.measure`."""
    from thale.facade import measuring

    return measuring.measure(work)


def render_segmentation(answer: Answer, media_type: str) -> Rendered:
    """Run `measuring.render_segmentation`."""
    from thale.facade import measuring

    return measuring.render_segmentation(answer, media_type)


def render_landmarks(answer: Answer) -> Rendered:
    """Run `measuring.render_landmarks`."""
    from thale.facade import measuring

    return measuring.render_landmarks(answer)
