"""The response header `Server-Timing` with a model worker's step durations (W3C, Server Timing, 2023).

    decode;dur=12.3, transform;dur=4.0, inference;dur=81.5, encode;dur=3.1, batch;desc="4"

Durations are in milliseconds for one image. `batch` is the number of images in the worker's batch.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

HEADER = "Server-Timing"
STEPS = ("decode", "transform", "inference", "encode")
_BATCH = "batch"
_MAX_HEADER_LENGTH = 1024
_METRIC = re.compile(r'\s*([a-z]+)\s*;\s*(?:dur=([0-9.eE+-]{1,24})|desc="?([0-9]{1,6})"?)\s*')


@dataclass(frozen=True)
class Timing:
    """A worker's step durations for one image, in seconds, and its batch size."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    batch_size: int | None = None

    def to_header(self) -> str:
        """Return the header's value."""
        entries = [f"{step};dur={1000 * seconds:.3f}" for step, seconds in self.seconds.items() if step in STEPS]
        return ", ".join(entries if self.batch_size is None else [*entries, f'{_BATCH};desc="{self.batch_size}"'])


def read_timing(header: str) -> Timing:
    """Parse the header. Invalid entries are ignored: a timing error must never fail a request."""
    seconds: dict[str, float] = {}
    batch_size = None
    for entry in header.split(",") if len(header) <= _MAX_HEADER_LENGTH else ():
        match = _METRIC.fullmatch(entry)
        if match is None:
            continue
        name, duration_ms, description = match.groups()
        if name in STEPS and duration_ms is not None and (duration_s := _parse_seconds(duration_ms)) is not None:
            seconds[name] = duration_s
        elif name == _BATCH and description is not None:
            batch_size = int(description) or None
    return Timing(seconds, batch_size)


def _parse_seconds(duration_ms: str) -> float | None:
    try:
        seconds = float(duration_ms) / 1000
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
