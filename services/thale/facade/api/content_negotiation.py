"""Which of the formats that are offered does the client want? The Accept header of RFC 9110, with q-values."""

from collections.abc import Sequence
from dataclasses import dataclass

from thale.errors import NotAcceptableError


@dataclass(frozen=True)
class _MediaRange:
    """One media range of an Accept header: `image/*;q=0.5`."""

    main_type: str
    subtype: str
    quality: float

    def specificity(self, media_type: str) -> int:
        """Return 0 where the range does not cover the media type, more the more closely it names it."""
        main_type, _, subtype = media_type.partition("/")
        if (self.main_type, self.subtype) == (main_type, subtype):
            return 3
        if (self.main_type, self.subtype) == (main_type, "*"):
            return 2
        return int((self.main_type, self.subtype) == ("*", "*"))


def best_media_type(accept: str | None, offered: Sequence[str]) -> str:
    """Return the offered media type that the client likes best; the first one where it says nothing.

    Raises:
        NotAcceptableError: If it takes none of them.
    """
    ranges = [
        media_range for text in (accept or "").split(",") if (media_range := _parse_media_range(text)) is not None
    ]
    if not ranges:
        return offered[0]
    qualities = {media_type: _best_quality(ranges, media_type) for media_type in offered}
    best = max(offered, key=lambda media_type: qualities[media_type])
    if qualities[best] <= 0:
        raise NotAcceptableError(list(offered))
    return best


def _parse_media_range(text: str) -> _MediaRange | None:
    """Read one part of the header; one that cannot be read counts as absent."""
    media_range, *parameters = (field.strip().lower() for field in text.split(";"))
    main_type, slash, subtype = media_range.partition("/")
    if not (main_type and slash and subtype):
        return None
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name.strip() == "q":
            return _MediaRange(main_type, subtype, _parse_quality(value))
    return _MediaRange(main_type, subtype, 1.0)


def _parse_quality(value: str) -> float:
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def _best_quality(ranges: Sequence[_MediaRange], media_type: str) -> float:
    closest = max(ranges, key=lambda candidate: (candidate.specificity(media_type), candidate.quality))
    return closest.quality if closest.specificity(media_type) else 0.0
