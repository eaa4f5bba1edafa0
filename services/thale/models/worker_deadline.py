"""Deadline of a model request, sent to the worker: TorchServe does not cancel work whose client has disconnected.

The value has three fields: the boot ID of the machine, and the deadline on its monotonic and on the wall clock.
A worker on the same machine uses the monotonic clock, which does not jump. Another machine uses the wall clock.
"""

import math
import time
from functools import cache
from pathlib import Path

HEADER = "x-thale-deadline"

_BOOT_ID_PATH = Path("/proc/sys/kernel/random/boot_id")
_UNKNOWN_BOOT = "-"


def encode_deadline(remaining_s: float) -> str:
    """Return the value of the header for a deadline in that many seconds."""
    return f"{_boot_id()} {time.monotonic() + remaining_s:.3f} {time.time() + remaining_s:.3f}"


def parse_remaining_s(value: str) -> float:
    """Return the remaining seconds of a header's value: negative after the deadline, infinite for an invalid value."""
    fields = value.split(" ")
    if len(fields) != 3:
        return math.inf
    boot_id, monotonic, wall = fields
    is_same_clock = boot_id == _boot_id() != _UNKNOWN_BOOT
    try:
        remaining_s = float(monotonic) - time.monotonic() if is_same_clock else float(wall) - time.time()
    except ValueError:
        return math.inf
    return math.inf if math.isnan(remaining_s) else remaining_s


@cache
def _boot_id() -> str:
    try:
        return _BOOT_ID_PATH.read_text().strip() or _UNKNOWN_BOOT
    except OSError:
        return _UNKNOWN_BOOT
