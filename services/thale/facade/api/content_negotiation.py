"""Content negotiation by the Accept header of RFC 9110, with q-values (ADR 0018)."""

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
        """Return the specificity of the match, from 0 (no match) to 3 (exact media type)."""
        main_type, _, subtype = media_type.partition("/")
        if (self.main_type, self.subtype) == (main_type, subtype):
            return 3
        if (self.main_type, self.subtype) == (main_type, "*"):
            return 2
        return int((self.main_type, self.subtype) == ("*", "*"))


def best_media_type(accept: str | None, offered: Sequence[str]) -> str:
    """Return the offered media type with the highest quality. Without an Accept header, return the first one.

    Raises:
        NotAcceptableError: If the client accepts none of them.
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
    """Parse one media range. Return None if it is malformed: the header is then read without it."""
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
