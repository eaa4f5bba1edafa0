"""Time of a photograph for BrAPI, from its file name. The store has no other time of the photograph."""

from datetime import UTC

from thale.errors import ParameterError
from thale.series.plates import strip_suffix
from thale.series.timestamps import timestamp_from_name


def photograph_time(name: str) -> tuple[str | None, dict[str, str]]:
    """Return the time in a file name in ISO 8601, and a note about it. Without a certain time, it is None.

    BrAPI requires a time zone. A time without one is read as UTC, and a date without a time as noon, as the note says.
    """
    try:
        found = timestamp_from_name(strip_suffix(name))
    except ParameterError:  # several dates, or a date with two readings
        return None, {}
    if found is None:
        return None, {}
    if not found.is_time_of_day_known:
        note = "date in the file name, at noon UTC"
    elif found.time.tzinfo is None:
        note = "file name without a time zone, read as UTC"
    else:
        note = "file name"
    moment = found.time if found.time.tzinfo is not None else found.time.replace(tzinfo=UTC)
    return moment.isoformat().replace("+00:00", "Z"), {"timeSource": note}
