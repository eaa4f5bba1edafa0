"""What a request turns out to be while it is served: filled in by whoever learns of it, counted when it is answered."""

from dataclasses import dataclass, field

from thale.schemas import ImageMetadata
from thale.telemetry import labels, metrics


@dataclass
class RequestStats:
    """One request's."""

    megapixels: float | None = None
    """Of all its images together; None until a header was read."""
    versions: dict[str, str] = field(default_factory=dict)
    """The models that its answer was made by, and in which version."""

    def add_image(self, metadata: ImageMetadata) -> None:
        """Note an image whose header could be read."""
        megapixels = metadata.width * metadata.height / 1e6
        metrics.IMAGE_MEGAPIXELS.observe(megapixels)
        self.megapixels = megapixels + (self.megapixels or 0.0)

    @property
    def size_class(self) -> str:
        """The class of image size that the request is counted in."""
        return labels.size_class(self.megapixels)
