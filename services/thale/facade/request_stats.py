"""What a request turns out to be while it is served: filled in by whoever learns of it, counted when it is answered."""

from dataclasses import dataclass, field

from thale.schemas import ImageFacts
from thale.telemetry import labels, metrics


@dataclass
class Account:
    """One request's."""

    megapixels: float | None = None
    """Of all its images together; None until a header was read."""
    versions: dict[str, str] = field(default_factory=dict)
    """The models that its answer was made by, and in which version."""

    def holds(self, image: ImageFacts) -> None:
        """Note an image whose header could be read."""
        megapixels = image.width * image.height / 1e6
        metrics.IMAGE_MEGAPIXELS.observe(megapixels)
        self.megapixels = megapixels + (self.megapixels or 0.0)

    @property
    def size(self) -> str:
        """The class of image size that the request is counted in."""
        return labels.size_class(self.megapixels)
