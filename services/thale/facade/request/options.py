"""Options and upload of one request, independent of the protocol."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from thale.experiments.measurement_key import digest_parameters
from thale.facade.deadline import Deadline
from thale.facade.postprocess.types import JSON
from thale.facade.request.stats import RequestStats
from thale.facade.upstream.routing import VersionPin
from thale.schemas import Region, Rotation
from thale.schemas.experiment import MeasurementParameters


@dataclass(frozen=True)
class RequestOptions:
    """Parsed parameters of one request, the same for both protocols."""

    request_id: str
    deadline: Deadline
    stats: RequestStats = field(default_factory=RequestStats)
    media_type: str = JSON
    mm_per_px: float | None = None
    plate_width_mm: float | None = None
    page: int | None = None
    rotate: Rotation = 0
    """Clockwise turn of the image in degrees before its measurement."""
    region: Region = "plate"
    """The part of the image that a model processes. No plate is searched in the whole image."""
    strict: bool = False
    """True if an image that the gate doubts is an error."""
    expected_plants: int | None = None
    name: str | None = None
    experiment: str | None = None
    pins: Sequence[VersionPin] = ()
    wide: bool = True
    """Format of a CSV table: one row per plant, or one per plant and trait if False."""

    def config_digest(self) -> str:
        """Return the digest of all inputs that affect the traits, except image and models."""
        return digest_parameters(self.measurement_parameters())

    def measurement_parameters(self) -> MeasurementParameters:
        """Return the parameters that affect the values of a measurement."""
        # An integer in JSON would have another digest than the same number as a float.
        return MeasurementParameters.model_construct(
            mm_per_px=self.mm_per_px,
            plate_width_mm=self.plate_width_mm,
            page=self.page,
            expected_plants=self.expected_plants,
            rotate=self.rotate,
        )


@dataclass(frozen=True)
class Upload:
    """An image as received, with its file name."""

    data: bytes
    name: str | None = None
