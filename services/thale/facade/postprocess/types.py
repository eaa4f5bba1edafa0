"""Types that cross the boundary between the server and the post-processing workers, and the media types."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thale.facade.upstream.model_response import ModelResponse
from thale.monitoring.plate_statistics import PlateStatistics
from thale.schemas import ImageMetadata, Rotation

JSON, PNG, RSML, CSV, NPZ = "application/json", "image/png", "application/rsml+xml", "text/csv", "application/x-npz"
PLANTCV = "application/vnd.plantcv+json"
PHENOTYPE_TYPES = (JSON, PNG, RSML, CSV, PLANTCV)
TRAITS_TYPES = (JSON, RSML, CSV, PLANTCV)
SERIES_TYPES = (JSON, CSV)
SEGMENT_TYPES = (JSON, NPZ, PNG)
SeriesRows = Literal["values", "growth"]
"""Rows of a CSV table of a series: one row per plant, photograph and trait, or one row per growth rate."""


@dataclass(frozen=True)
class PhenotypeTask:
    """Inputs of a phenotype other than the model responses."""

    metadata: ImageMetadata
    config_digest: str
    package_version: str
    created: str
    """Time of the request in UTC, in the ISO 8601 format."""
    expected_plants: int | None
    media_type: str
    wide: bool
    """Format of a CSV table: one row per plant, or one per plant and trait if False."""
    image: bytes
    """Empty unless the client requests the overlay."""
    page: int | None
    started: float
    """Start of the request on the monotonic clock, which all processes share."""
    rotate: Rotation = 0
    """Clockwise turn of the image before its measurement."""
    strict: bool = False
    """True if an image that the gate doubts is an error."""
    error_models_path: Path | None = None
    """Folder of the user's error models."""


@dataclass(frozen=True)
class RenderedResponse:
    """A response body, with the plate statistics to record."""

    body: bytes
    media_type: str
    statistics: PlateStatistics | None = None
    """Statistics of the sampled plate of a phenotype; None for other responses."""
    sampled_plate: int = 0
    """Index of the plate that the statistics are of, and that shadows measure."""


@dataclass(frozen=True)
class ShadowPair:
    """The responses of stable and shadow for one image, and the inputs and statistics of the client's phenotype."""

    stable: ModelResponse
    shadow: ModelResponse
    other_task: ModelResponse
    """The response of the other task's model, the same for both."""
    task: PhenotypeTask
    statistics: PlateStatistics
    """Statistics of the client's phenotype."""
