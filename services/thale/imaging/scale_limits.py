"""Range of the scale that is possible for a photograph of a plate."""

from thale.errors import ScaleError
from thale.schemas import Region

MIN_MM_PER_PX, MAX_MM_PER_PX = 0.002, 1.0
MIN_PLATE_MM, MAX_PLATE_MM = 20.0, 500.0


def validate_scale(mm_per_px: float | None, plate_width_mm: float | None) -> None:
    """Reject a scale before an image is read or decoded.

    Args:
        mm_per_px: Millimetres per pixel; None if unknown.
        plate_width_mm: Outer width of the square plate; None if it is the default.

    Raises:
        ScaleError: If a given value is impossible for a photograph of a plate.
    """
    if mm_per_px is not None and not MIN_MM_PER_PX <= mm_per_px <= MAX_MM_PER_PX:
        hint = ""
        if 1 < mm_per_px <= 1 / MIN_MM_PER_PX:
            hint = f"; if that is pixels per mm, send {1 / mm_per_px:.4g}"
        raise ScaleError(
            f"mm_per_px={mm_per_px:g} is not possible: a plate photograph has {MIN_MM_PER_PX:g} to "
            f"{MAX_MM_PER_PX:g} mm per pixel, typically 0.04 to 0.07{hint}"
        )
    if plate_width_mm is not None and not MIN_PLATE_MM <= plate_width_mm <= MAX_PLATE_MM:
        hint = f"; if that is centimetres, send {plate_width_mm * 10:g}" if 2 <= plate_width_mm < MIN_PLATE_MM else ""
        raise ScaleError(
            f"plate_width_mm={plate_width_mm:g} is not possible: square plates are {MIN_PLATE_MM:g} to "
            f"{MAX_PLATE_MM:g} mm wide on the outside, typically 120{hint}"
        )


def validate_region(region: Region, mm_per_px: float | None) -> None:
    """Reject a region without a scale before an image is read or decoded.

    Args:
        region: The part of the image that a model processes.
        mm_per_px: Millimetres per pixel; None if unknown.

    Raises:
        ScaleError: If the region is the whole image and the scale is unknown. No plate is searched that could have one.
    """
    if region == "image" and mm_per_px is None:
        raise ScaleError(
            "region=image needs the scale of the image: send mm_per_px, or omit region to use the plate's edge"
        )
