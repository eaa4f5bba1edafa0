"""Estimated cost of an image: the seconds that it holds a processing slot, from its header and its scale.

Admission control scales the estimate by the measured speed of the machine (`thale.capacity.wait_estimate`). Only the
ratios between images matter. The estimate is for one plate: `AdmittedImage.report_plates` multiplies it when the number
of plates is known.
"""

import math
from dataclasses import dataclass

from thale.facade.request.options import RequestOptions
from thale.imaging.decode_cost import estimate_decode_s
from thale.schemas import ImageMetadata

_SECONDS_PER_IMAGE = 0.25
_SECONDS_PER_TRAINING_MEGAPIXEL = 0.65
"""Model passes and post-processing at training scale, on the machine of 2026-11-21. Plates of 4 and of 16 megapixels
take 2.8 s there, because both have 3.7 megapixels at training scale."""
_TRAINING_MM_PER_PX = 0.0625
_PLATE_WIDTH_MM = 120.0
_MAX_TRAINING_MEGAPIXELS = 25.0
"""The model handler rejects larger images (`thale_models.inference.MAX_PIXELS`)."""
_SECONDS_PER_SLOT = 5.0
"""Estimated seconds for each slot that an image holds: an image of 12 s holds three slots. Its decoded pixels and its
model requests delay the other images."""


@dataclass(frozen=True)
class Cost:
    """Estimated cost of one image."""

    seconds: float
    """Time in a processing slot on the machine of 2026-11-21."""

    def slots(self, max_slots: int) -> int:
        """Return the number of processing slots that the image holds, from 1 to `max_slots`."""
        return min(max_slots, max(1, math.ceil(self.seconds / _SECONDS_PER_SLOT)))


def estimate_cost(data: bytes, metadata: ImageMetadata, options: RequestOptions) -> Cost:
    """Return the cost of an image: decoding, model passes and post-processing."""
    megapixels = metadata.width * metadata.height / 1e6
    if options.mm_per_px is not None:
        training_megapixels = megapixels * (options.mm_per_px / _TRAINING_MM_PER_PX) ** 2
    else:
        plate_mm = options.plate_width_mm or _PLATE_WIDTH_MM
        training_megapixels = min(megapixels, (plate_mm / _TRAINING_MM_PER_PX) ** 2 / 1e6)
    return Cost(
        _SECONDS_PER_IMAGE
        + _SECONDS_PER_TRAINING_MEGAPIXEL * min(training_megapixels, _MAX_TRAINING_MEGAPIXELS)
        + estimate_decode_s(data, metadata)
    )
