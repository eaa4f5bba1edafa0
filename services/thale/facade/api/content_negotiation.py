"""Which of the formats that are offered does the client want? The Accept header of RFC 9110, with q-values."""

from collections.abc import Sequence
from dataclasses import dataclass

from thale.errors import NotAcceptableError


@dataclass(frozen=True)
class _Range:
    """One media range of an Accept header: `image/*;q=0.5`."""

    kind: str
    subtype: str
    quality: float

    def specificity(self, media_type: str) -> int:
        """Return 0 where the range does not cover the media type, more the more closely it names it."""
        kind, _, subtype = media_type.partition("/")
        if (self.kind, self.subtype) == (kind, subtype):
            return 3
        if (self.kind, self.subtype) == (kind, "*"):
            return 2
        return int((self.kind, self.subtype) == ("*", "*"))


def choose(accept: str | None, offered: Sequence[str]) -> str:
    """Return the offered media type that the client likes best; the first one where it says nothing.

    Raises:
        NotAcceptableError: If it takes none of them.
    """
    ranges = [found for part in (accept or "").split(",") if (found := _range(part)) is not None]
    if not ranges:
        return offered[0]
    qualities = {media_type: _quality(ranges, media_type) for media_type in offered}
    best = max(offered, key=lambda media_type: qualities[media_type])
    if qualities[best] <= 0:
        raise NotAcceptableError(list(offered))
    return best


def _range(part: str) -> _Range | None:
    """Read one part of the header; one that cannot be read counts as absent."""
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    kind, slash, subtype = media_range.partition("/")
    if not (kind and slash and subtype):
        return None
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name.strip() == "q":
            return _Range(kind, subtype, _weight(value))
    return _Range(kind, subtype, 1.0)


def _weight(value: str) -> float:
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


def _quality(ranges: Sequence[_Range], media_type: str) -> float:
    closest = max(ranges, key=lambda candidate: (candidate.specificity(media_type), candidate.quality))
    return closest.quality if closest.specificity(media_type) else 0.0
