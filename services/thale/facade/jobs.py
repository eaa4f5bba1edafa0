"""What is asked of the measuring processes, and what they answer: bytes and frozen records.

The work itself is done in `measuring`. It is imported within the functions, which run in those processes, so that the
server starts a second sooner without SciPy and scikit-image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from thale.contract import ImageFacts
from thale.facade.model_answer import Answer
from thale.facade.observing import Difference, Observation

JSON, PNG, RSML, CSV, NPZ = "application/json", "image/png", "application/rsml+xml", "text/csv", "application/x-npz"

PHENOTYPE_TYPES = (JSON, PNG, RSML, CSV)
SEGMENT_TYPES = (JSON, NPZ, PNG)


@dataclass(frozen=True)
class Measurement:
    """Everything that a phenotype is made of beside the models' answers."""

    facts: ImageFacts
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
    seen: Observation | None = None
    """Of a phenotype; None where no plants were measured."""


def measure(answers: Sequence[Answer], work: Measurement) -> Rendered:
    """Run `measuring.measure`."""
    from thale.facade import measuring

    return measuring.measure(answers, work)


@dataclass(frozen=True)
class Comparison:
    """What the stable version and its shadow said of one image, and what the user's phenotype was made of."""

    stable: Answer
    shadow: Answer
    companion: Answer
    """The other model's answer, the same for both."""
    work: Measurement
    seen: Observation
    """Of the user's phenotype."""


def compare(pair: Comparison) -> Difference:
    """Run `comparing.compare`."""
    from thale.facade import comparing

    return comparing.compare(pair)


def render_segmentation(answers: Sequence[Answer], media_type: str) -> Rendered:
    """Run `measuring.render_segmentation`."""
    from thale.facade import measuring

    return measuring.render_segmentation(answers, media_type)


def render_landmarks(answers: Sequence[Answer]) -> Rendered:
    """Run `measuring.render_landmarks`."""
    from thale.facade import measuring

    return measuring.render_landmarks(answers)
