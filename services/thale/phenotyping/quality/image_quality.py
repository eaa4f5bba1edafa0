"""Flags of images that differ from the training data so much that no trait is certain."""

import math
from collections.abc import Mapping, Sequence

from thale.errors import DoubtfulImageError
from thale.phenotyping.traits.measure import GATE_FLAGS
from thale.schemas import Calibration, Flag, ImageMetadata, Phenotype, Plant, Scale

COMPRESSION_QUALITIES = {"strong_compression": 40, "compression": 70}
"""JPEG qualities below which a flag applies. Laterals disappear first (ADR 0112)."""
RESOLUTIONS_PX_PER_MM = {"very_low_resolution": 6.0, "low_resolution": 13.0}
"""Resolutions below which a flag applies. The training images have 14 to 23 px/mm. Finer images are scaled down."""

_MIN_DIRECTED_PLANTS = 2
_MIN_ROOT_MM = 3.0
_MAX_ANGLE_DEG = 60.0
"""Angle to the downward vertical beyond which a primary root does not grow down."""


def image_quality_flags(image: ImageMetadata, scale: Scale, plants: Sequence[Plant]) -> tuple[Flag, ...]:
    """Return a flag for each property of an image that makes its traits uncertain.

    `strong_compression` and `compression`: the quantisation tables of the JPEG are those of a low quality.
    `very_low_resolution` and `low_resolution`: fewer pixels per mm than in the training data. `roots_grow_upwards`:
    most primary roots end above their base or at its level.
    """
    flags = []
    quality, px_per_mm = image.jpeg_quality, 1 / scale.mm_per_px if scale.is_known else math.inf
    if quality is not None and (code := _first_above(quality, COMPRESSION_QUALITIES)):
        message = f"the JPEG has a quality of about {quality}, which loses thin roots: send the camera's original file"
        flags.append(Flag(code=code, message=message))
    if code := _first_above(px_per_mm, RESOLUTIONS_PX_PER_MM):
        message = (
            f"the image has {px_per_mm:.1f} px/mm, and the models need at least "
            f"{max(RESOLUTIONS_PX_PER_MM.values()):g}: send the camera's original file, or photograph from nearer"
        )
        flags.append(Flag(code=code, message=message))
    if _grows_upwards(plants, scale):
        message = "most primary roots grow upwards or sideways: turn the photograph so that the shoots are at the top"
        flags.append(Flag(code="roots_grow_upwards", message=message))
    return tuple(flags)


def reject_doubtful_image(phenotype: Phenotype) -> None:
    """Reject a measured image that the gate doubts.

    Raises:
        DoubtfulImageError: If the image has a flag of the gate. The message has all reasons.
    """
    reasons = dict.fromkeys(flag.message for flag in phenotype.flags if flag.code in GATE_FLAGS)
    if reasons:
        raise DoubtfulImageError(
            f"the image is refused, because strict=true: {'; '.join(reasons)}. Without strict, the values are "
            "returned, and none of them is ok"
        )


def cropped_plate_flags(calibration: Calibration, plants: Sequence[Plant]) -> tuple[Flag, ...]:
    """Return `plate_cropped` if plants with roots were found, but no edge of a plate."""
    codes = {flag.code for flag in calibration.flags}
    if "no_plate" not in codes or "round_plate" in codes or not any(plant.roots for plant in plants):
        return ()
    message = (
        "plants were found, but not the edges of a plate: the image is cropped, or it shows no plate; roots may "
        "continue outside the image; send the whole photograph"
    )
    return (Flag(code="plate_cropped", message=message),)


def _first_above(value: float, limits: Mapping[str, float]) -> str | None:
    """Return the first code whose limit exceeds the value."""
    return next((code for code, limit in limits.items() if value < limit), None)


def _grows_upwards(plants: Sequence[Plant], scale: Scale) -> bool:
    """Return True if at least two plants, and more than half of those with a long primary root, do not grow down."""
    min_length_px = _MIN_ROOT_MM / scale.mm_per_px if scale.is_known else 0.0
    primaries = [
        root for plant in plants for root in plant.roots if root.order == 1 and root.length_px >= min_length_px
    ]
    not_down = 0
    for root in primaries:
        (x0, y0), (x1, y1) = root.points[0], root.points[-1]
        not_down += math.degrees(math.atan2(abs(x1 - x0), y1 - y0)) > _MAX_ANGLE_DEG
    return not_down >= _MIN_DIRECTED_PLANTS and 2 * not_down > len(primaries)
