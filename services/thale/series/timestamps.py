"""Time of a photograph: given, from EXIF DateTimeOriginal, or from the name of its file or folder.

Other times of a file are not read: a copy or an edit changes them. A time that cannot be read with certainty is an
error with a remedy, because a wrong time is a wrong growth rate.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from thale.errors import ImageError, ParameterError
from thale.imaging.heif_header import is_heic, read_exif
from thale.series.schemas import TimeSource

_EXIF_DIRECTORY, _DATE_TIME_ORIGINAL, _OFFSET_ORIGINAL = 0x8769, 36867, 36881
_BRAND_BYTES = 12
_FIRST_YEAR, _LAST_YEAR = 1990, 2100
TIMES_REMEDY = "with --times, or in the field `time` of /v1/series"
MAX_DISAGREEMENT = timedelta(hours=26)
"""Maximum difference of EXIF and name. A date in a name has no time of day, and both can have other time zones."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = (
    r"(?:(?:T|[_ -]{1,2}|,\s?)"
    r"(?P<hour>[01]\d|2[0-3])(?P<gap>[-.:h]?|(?<=_\d\d)_)(?P<minute>[0-5]\d)"
    r"(?:(?:(?P=gap)|[-.:m])(?P<second>[0-5]\d)(?:[.,]\d{1,6})?s?)?(?![0-9])"
    r"\s?(?P<offset>Z(?![A-Za-z])|[+-](?:0\d|1[0-4]):?(?:00|30|45)(?!\d))?)?"
)
_PATTERNS = tuple(
    re.compile(pattern + _TIME, re.IGNORECASE)
    for pattern in (
        r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<separator>[-_.]?)(?P<month>0[1-9]|1[0-2])(?P=separator)"
        r"(?P<day>0[1-9]|[12]\d|3[01])(?!\d)",
        r"(?<!\d)(?P<day>0?[1-9]|[12]\d|3[01])[-_. ]?(?P<name>" + "|".join(_MONTHS) + r")[a-z]{0,6}[-_. ]?"
        r"(?P<year>(?:19|20)\d\d)(?!\d)",
        r"(?<!\d)(?P<first>\d{1,2})(?P<separator>[-_.])(?P<second_number>\d{1,2})(?P=separator)"
        r"(?P<year>(?:19|20)\d\d)(?!\d)",
    )
)
_MAX_NAME_LENGTH = 1000


@dataclass(frozen=True)
class Timestamp:
    """Time of one photograph. Without a time zone, `time` is the clock of the camera."""

    time: datetime
    source: TimeSource
    is_time_of_day_known: bool = True


@dataclass(frozen=True)
class TimeRules:
    """Rules of the user for times that are incomplete.

    `zone` is the time zone of times without an offset. `time_of_day` is the time of photographs that have only a date.
    """

    zone: tzinfo | None = None
    time_of_day: time | None = None

    def complete(self, timestamp: Timestamp, name: str) -> Timestamp:
        """Return the timestamp with the time of day and the time zone of these rules, where it lacks them.

        Raises:
            ParameterError: If the local time occurs twice or never, because the clock was changed.
        """
        if not timestamp.is_time_of_day_known and self.time_of_day is not None:
            moment = datetime.combine(timestamp.time.date(), self.time_of_day, timestamp.time.tzinfo)
            timestamp = replace(timestamp, time=moment, is_time_of_day_known=True)
        if timestamp.time.tzinfo is not None or self.zone is None:
            return timestamp
        local = timestamp.time.replace(tzinfo=self.zone)
        if local.utcoffset() != local.replace(fold=1).utcoffset():
            raise ParameterError(
                f"{name}: the local time {timestamp.time:%Y-%m-%d %H:%M} occurs twice or never in {self.zone}, because "
                "the clock was changed: give the time with its offset, such as 2023-10-29T02:30:00+02:00"
            )
        return replace(timestamp, time=local)


def parse_time(text: str, name: str) -> Timestamp:
    """Return a given time in ISO 8601: a date, or a date and a time with or without an offset.

    Raises:
        ParameterError: If the text is no such time. `name` is the photograph.
    """
    text = text.strip()
    try:
        if len(text) <= len("2023-08-08"):
            return Timestamp(datetime.combine(date.fromisoformat(text), time(12)), "given", False)
        return Timestamp(datetime.fromisoformat(text), "given")
    except ValueError:
        raise ParameterError(
            f"{name}: the time {text[:40]!r} is not ISO 8601: give it as 2023-08-08 or as 2023-08-08T14:30:00+02:00"
        ) from None


def timestamp_from_name(label: str) -> Timestamp | None:
    """Return the time in the name of a file, or else in the names of its folders, or None without a date.

    Args:
        label: Path relative to the given folder, without its suffix.

    Raises:
        ParameterError: If the name has several dates, or if day and month cannot be distinguished.
    """
    folders, _, name = label[:_MAX_NAME_LENGTH].rpartition("/")
    for part in (name, folders):
        found = [_to_timestamp(match, label) for match in _find_matches(part)]
        distinct = {(timestamp.time, timestamp.is_time_of_day_known): timestamp for timestamp in found}
        if len(distinct) > 1:
            dates = " and ".join(f"{timestamp.time:%Y-%m-%d %H:%M}" for timestamp in distinct.values())
            raise ParameterError(f"{label!r} has several times, {dates}: give the right one {TIMES_REMEDY}")
        if found:
            return found[0]
    return None


def time_spans(label: str) -> list[tuple[int, int]]:
    """Return the spans of all dates and times in a path, in order."""
    return sorted(match.span() for match in _find_matches(label[:_MAX_NAME_LENGTH]))


def _find_matches(text: str) -> list[re.Match[str]]:
    """Return the matches of all patterns that are dates of the calendar and do not overlap."""
    matches: list[re.Match[str]] = []
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            is_taken = any(match.start() < other.end() and other.start() < match.end() for other in matches)
            if not is_taken and any(_is_date(match["year"], month, day) for day, month in _readings(match)):
                matches.append(match)
    return matches


def _to_timestamp(match: re.Match[str], label: str) -> Timestamp:
    readings = {(day, month) for day, month in _readings(match) if _is_date(match["year"], month, day)}
    if len(readings) > 1:
        days = " or ".join(f"{day} {_MONTHS[month - 1].title()}" for day, month in sorted(readings))
        raise ParameterError(
            f"{label!r}: the date {match[0]} is {days}: name the files with ISO 8601 dates such as 2023-08-09, or give "
            f"the time {TIMES_REMEDY}"
        )
    [(day, month)] = readings
    groups = match.groupdict()
    moment = datetime(int(groups["year"]), month, day, 12)
    if groups["hour"] is None:
        return Timestamp(moment, "file_name", False)
    moment = moment.replace(hour=int(groups["hour"]), minute=int(groups["minute"]), second=int(groups["second"] or 0))
    return Timestamp(moment.replace(tzinfo=_parse_offset(groups["offset"])), "file_name")


def _readings(match: re.Match[str]) -> list[tuple[int, int]]:
    """Return the readings of a date as (day, month). A date such as 03-04-2023 has two."""
    groups = match.groupdict()
    if groups.get("first"):
        first, second = int(groups["first"]), int(groups["second_number"])
        return [(first, second), (second, first)]
    if groups.get("name"):
        return [(int(groups["day"]), _MONTHS.index(groups["name"].lower()) + 1)]
    return [(int(groups["day"]), int(groups["month"]))]


def _is_date(year: str, month: int, day: int) -> bool:
    try:
        return _FIRST_YEAR <= date(int(year), month, day).year <= _LAST_YEAR
    except ValueError:
        return False


def _parse_offset(text: str | None) -> tzinfo | None:
    if not text:
        return None
    if text in "zZ":
        return UTC
    digits = text[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


def timestamp_from_exif(path: Path) -> Timestamp | None:
    """Return DateTimeOriginal of an image with its offset, or None if the file has none. Pixels are not decoded."""
    try:
        exif = _read_exif(path).get_ifd(_EXIF_DIRECTORY)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError, ImageError):
        return None  # the measurement reports a damaged image with its reason
    return parse_exif_time(exif.get(_DATE_TIME_ORIGINAL), exif.get(_OFFSET_ORIGINAL))


def _read_exif(path: Path) -> Image.Exif:
    with path.open("rb") as file:
        prefix = file.read(_BRAND_BYTES)
        if is_heic(prefix):
            exif = Image.Exif()
            exif.load(read_exif(prefix + file.read()) or b"")
            return exif
    with Image.open(path) as image:
        return image.getexif()


def parse_exif_time(date_time: object, offset: object) -> Timestamp | None:
    """Return the time of EXIF's texts, such as 2023:08:08 14:30:00 and +02:00. None if a camera left them empty."""
    text = str(date_time).strip("\0 ") if isinstance(date_time, str) else ""
    try:
        moment = datetime.strptime(text, "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        return None
    offset_text = str(offset).strip("\0 ") if isinstance(offset, str) else ""
    has_offset = re.fullmatch(r"[+-](0\d|1[0-4]):[0-5]\d", offset_text) is not None
    return Timestamp(moment.replace(tzinfo=_parse_offset(offset_text) if has_offset else None), "exif")


def choose_timestamp(exif: Timestamp | None, named: Timestamp | None, label: str) -> Timestamp | None:
    """Return the time from EXIF, else from the name.

    Raises:
        ParameterError: If both differ by more than a day: one of them is wrong.
    """
    if exif is None or named is None:
        return exif or named
    difference = abs(exif.time.replace(tzinfo=None) - named.time.replace(tzinfo=None))
    if difference > MAX_DISAGREEMENT:
        raise ParameterError(
            f"{label}: EXIF has the time {exif.time:%Y-%m-%d %H:%M}, but the name has {named.time:%Y-%m-%d %H:%M}: "
            f"pass --times-from exif or --times-from name, or give the time {TIMES_REMEDY}"
        )
    return exif
