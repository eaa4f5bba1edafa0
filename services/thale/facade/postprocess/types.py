"""Types."""

from dataclasses import dataclass

from thale.facade.upstream.model_response import ModelResponse
from thale.monitoring.plate_statistics import PlateStatistics
from thale.schemas import ImageMetadata

JSON, PNG, RSML, CSV, NPZ = "application/json", "image/png", "application/rsml+xml", "text/csv", "application/x-npz"


PHENOTYPE_TYPES = (JSON, PNG, RSML, CSV)


SEGMENT_TYPES = (JSON, NPZ, PNG)


@dataclass(frozen=True)
class PhenotypeTask:
    """Everything that a phenotype is made of beside the models' answers."""

    metadata: ImageMetadata
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
class RenderedResponse:
    """An answer as it goes to the client, and what the operators count."""

    body: bytes
    media_type: str
    statistics: PlateStatistics | None = None
    """Of a phenotype; None where no plants were measured."""


@dataclass(frozen=True)
class ShadowPair:
    """What the stable version and its shadow said of one image, and what the user's phenotype was made of."""

    stable: ModelResponse
    shadow: ModelResponse
    other_task: ModelResponse
    """The other model's answer, the same for both."""
    task: PhenotypeTask
    statistics: PlateStatistics
    """Of the user's phenotype."""
