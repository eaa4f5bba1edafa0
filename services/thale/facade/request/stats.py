"""Per-request statistics, filled in during processing and recorded with the response."""

from dataclasses import dataclass, field

from thale.facade.limits.caller_limiter import Reservation
from thale.schemas import ImageMetadata
from thale.telemetry import labels, metrics


@dataclass
class RequestStats:
    """Statistics of one request."""

    megapixels: float | None = None
    """Sum over all images of the request. None before the first header is parsed."""
    versions: dict[str, str] = field(default_factory=dict)
    """The model versions that served the request, by model name."""

    reservation: Reservation | None = None
    """The place of the request within the limits of its caller. None if no limits apply."""

    async def charge_image(self, metadata: ImageMetadata) -> None:
        """Charge an image against the daily budget of the caller.

        Raises:
            RateLimitedError: If the remaining budget is smaller.
        """
        if self.reservation is not None:
            await self.reservation.charge_pixels(metadata.width * metadata.height)

    def add_image(self, metadata: ImageMetadata) -> None:
        """Record an image with a valid header."""
        megapixels = metadata.width * metadata.height / 1e6
        metrics.IMAGE_MEGAPIXELS.observe(megapixels)
        self.megapixels = megapixels + (self.megapixels or 0.0)

    @property
    def size_class(self) -> str:
        """The size class of the request in metrics."""
        return labels.size_class(self.megapixels)
