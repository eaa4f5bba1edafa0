"""Plan of a series: the plate and the time of each photograph, before any of them is measured."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import time, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from thale.errors import ParameterError
from thale.series.follow import check_times
from thale.series.plates import plate_from_name, plate_from_pattern, strip_suffix
from thale.series.timestamps import (
    TIMES_REMEDY,
    TimeRules,
    Timestamp,
    choose_timestamp,
    parse_time,
    timestamp_from_name,
)

TimesFrom = Literal["auto", "exif", "name"]
_MAX_LISTED = 5


@dataclass(frozen=True)
class PhotographName:
    """Name of a photograph, with its given time and plate and its EXIF time. `name` is relative to the folder."""

    name: str
    given_time: str | None = None
    given_plate: str | None = None
    exif: Timestamp | None = None


@dataclass(frozen=True)
class SeriesRules:
    """Rules by which the plate and the time of each photograph are found."""

    times: TimeRules = field(default_factory=TimeRules)
    times_from: TimesFrom = "auto"
    plate_pattern: re.Pattern[str] | None = None


@dataclass(frozen=True)
class PlannedPhotograph:
    """A photograph of a plate at a time. `index` is its position in the input."""

    index: int
    name: str
    timestamp: Timestamp


def plan_series(photographs: Sequence[PhotographName], rules: SeriesRules) -> dict[str, list[PlannedPhotograph]]:
    """Return the photographs of each plate, by the name of the plate.

    Raises:
        ParameterError: If a photograph has no time, if a time is ambiguous, if two photographs of a plate have the same
            time, or if no plate has two photographs.
    """
    timestamps = [_find_time(photograph, rules) for photograph in photographs]
    missing = [photograph.name for photograph, timestamp in zip(photographs, timestamps, strict=True) if not timestamp]
    if missing:
        listed = ", ".join(missing[:_MAX_LISTED]) + (" …" if len(missing) > _MAX_LISTED else "")
        raise ParameterError(
            f"{len(missing)} of {len(photographs)} photographs have no time in EXIF or in their name ({listed}): give "
            f"the times {TIMES_REMEDY}"
        )
    plates: dict[str, list[PlannedPhotograph]] = {}
    for index, (photograph, timestamp) in enumerate(zip(photographs, timestamps, strict=True)):
        if timestamp is not None:
            planned = PlannedPhotograph(index, photograph.name, rules.times.complete(timestamp, photograph.name))
            plates.setdefault(_find_plate(photograph, rules), []).append(planned)
    for plate, planned_photographs in plates.items():
        check_times(plate, [(planned.name, planned.timestamp) for planned in planned_photographs])
    if len(plates) == len(photographs) > 1:
        examples = " and ".join(repr(plate) for plate in list(plates)[:2])
        raise ParameterError(
            f"each of the {len(photographs)} photographs has another plate, such as {examples}: give the part of the "
            "name that is the plate with --plate-pattern, or the plate in the table of --times or in the field `plate` "
            "of /v1/series"
        )
    return dict(sorted(plates.items()))


def parse_zone(name: str | None) -> tzinfo | None:
    """Return a time zone by its name in the IANA database.

    Raises:
        ParameterError: If there is no such zone.
    """
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ParameterError(f"the time zone {name!r} is unknown: give a name such as Europe/Amsterdam") from None


def parse_time_of_day(text: str | None) -> time | None:
    """Return a time of day such as 10:30.

    Raises:
        ParameterError: If the text is no time without an offset.
    """
    if text is None:
        return None
    try:
        found = time.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is not None:
        raise ParameterError(f"the time of day {text!r} is no time: give it as 10:30")
    return found


def _find_time(photograph: PhotographName, rules: SeriesRules) -> Timestamp | None:
    if photograph.given_time is not None:
        return parse_time(photograph.given_time, photograph.name)
    if rules.times_from == "exif":
        return photograph.exif
    named = timestamp_from_name(strip_suffix(photograph.name))
    return named if rules.times_from == "name" else choose_timestamp(photograph.exif, named, photograph.name)


def _find_plate(photograph: PhotographName, rules: SeriesRules) -> str:
    if photograph.given_plate:
        return photograph.given_plate
    label = strip_suffix(photograph.name)
    return plate_from_name(label) if rules.plate_pattern is None else plate_from_pattern(label, rules.plate_pattern)
