"""Plate of a photograph: given, by a pattern, or the name of its file without the time.

`026_43-18-ROOT1-2023-08-08_pvd_OD0001_col-0_04` and `026_43-18-ROOT1-2023-08-09_pvd_OD0001_col-0_04` are the plate
`026_43-18-ROOT1_pvd_OD0001_col-0_04`. Photographs of two cameras whose names differ are two plates.
"""

import re

from thale.errors import ParameterError
from thale.series.timestamps import time_spans

_SEPARATORS = "-_., "
_SUFFIX = re.compile(r"\.(jpe?g|png|tiff?)$", re.IGNORECASE)


def strip_suffix(name: str) -> str:
    """Return a path without the suffix of an image. The last part of a date such as 8.8.2023 is no suffix."""
    return _SUFFIX.sub("", name)


def plate_from_name(label: str) -> str:
    """Return the path of a photograph without its suffix and without the dates and times in it.

    Args:
        label: Path relative to the given folder, without its suffix.
    """
    for start, end in reversed(time_spans(label)):
        before, after = label[:start], label[end:]
        separator = "" if _is_edge(before) or _is_edge(after) else _separator(before, after)
        label = f"{before.rstrip(_SEPARATORS)}{separator}{after.lstrip(_SEPARATORS)}"
    return "/".join(part for part in label.split("/") if part) or "plate"


def plate_from_pattern(label: str, pattern: re.Pattern[str]) -> str:
    """Return the group `plate` of a pattern, else its first group, else the whole match.

    Raises:
        ParameterError: If the pattern does not match the path, or if the group is empty.
    """
    match = pattern.search(label)
    name = "" if match is None else match.group("plate" if "plate" in pattern.groupindex else min(1, pattern.groups))
    if not name:
        raise ParameterError(f"--plate-pattern {pattern.pattern!r} does not match {label!r}: change the pattern")
    return name


def compile_pattern(text: str) -> re.Pattern[str]:
    """Return a pattern of the user.

    Raises:
        ParameterError: If it is no regular expression.
    """
    try:
        return re.compile(text)
    except re.error as error:
        raise ParameterError(f"--plate-pattern {text!r} is no regular expression: {error}") from error


def _is_edge(text: str) -> bool:
    return not text.strip(_SEPARATORS) or text.endswith("/") or text.startswith("/")


def _separator(before: str, after: str) -> str:
    """Return one separator between both parts. The one after the date is the field separator of most names."""
    return next((text for text in (after[0], before[-1]) if text in _SEPARATORS), "_")
