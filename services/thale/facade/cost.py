"""Estimated cost of an image: the seconds that it holds a processing slot, from its header.

The values are measured with `benchmarks/image_cost.py` (ADR 0084). Admission control scales them by the measured speed
of this machine (`thale.capacity.wait_estimate`), so that only their ratios matter.
"""

import math
from dataclasses import dataclass

from thale.schemas import ImageMetadata

_SECONDS = 0.5
_SECONDS_PER_MEGAPIXEL = 0.08
_SECONDS_PER_SLOT = 5.0
"""An image holds one slot for each of these seconds: its decoded pixels and its model requests delay the others."""


@dataclass(frozen=True)
class Cost:
    """Estimated cost of one image."""

    seconds: float
    """Time in a processing slot on the machine of the measurement."""

    def slots(self, max_slots: int) -> int:
        """Return the number of processing slots that the image holds, from 1 to `max_slots`."""
        return min(max_slots, max(1, math.ceil(self.seconds / _SECONDS_PER_SLOT)))


def estimate_cost(metadata: ImageMetadata) -> Cost:
    """Return the cost of an image."""
    megapixels = metadata.width * metadata.height / 1e6
    return Cost(_SECONDS + _SECONDS_PER_MEGAPIXEL * megapixels)
