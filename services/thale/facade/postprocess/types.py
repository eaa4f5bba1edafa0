"""Types."""

from dataclasses import dataclass

from thale.facade.upstream.model_response import Answer
from thale.monitoring.plate_statistics import Observation
from thale.schemas import ImageFacts

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
