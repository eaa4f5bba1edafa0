"""Conversion of the date formats in RSML files to ISO 8601."""

import re
from datetime import datetime

_BY_SLASHES = re.compile(
    r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([AaPp])?\.?[Mm]?\.?)?"
)


def iso_date(text: str) -> str | None:
    """Return a date as ISO 8601, or None if the text is not a date or is ambiguous.

    Month and day are distinguished by AM or PM (US dates have the month first), or by a number above 12.
    """
    text = text.strip()
    try:
        datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return text
    match = _BY_SLASHES.fullmatch(text)
    if match is None:
        return None
    first, second, year = (int(match.group(group)) for group in (1, 2, 3))
    meridiem = (match.group(7) or "").lower()
    if first <= 12 and second <= 12 and first != second and not meridiem:
        return None
    month, day = (first, second) if second > 12 or (meridiem and first <= 12) else (second, first)
    hour, minute, seconds = (int(match.group(group) or 0) for group in (4, 5, 6))
    if meridiem:
        hour = hour % 12 + (12 if meridiem == "p" else 0)
    try:
        return datetime(year, month, day, hour, minute, seconds).isoformat()
    except ValueError:
        return None
