"""Deadline of a request, passed on to every step that waits."""

import math
import time
from dataclasses import dataclass
from typing import Self

from thale.errors import DeadlineExceededError


@dataclass(frozen=True)
class Deadline:
    """A time on the machine's monotonic clock, which all processes share."""

    at: float
    """Seconds on the monotonic clock."""
    allowed_s: float
    """Seconds from the creation to the deadline."""

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return the deadline that many seconds from now."""
        return cls(time.monotonic() + seconds, seconds)

    def remaining(self) -> float:
        """Return the remaining seconds.

        Raises:
            DeadlineExceededError: If the deadline has passed.
        """
        left = self.at - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    def half(self, max_s: float = math.inf) -> "Deadline":
        """Return a deadline after half of the remaining time, up to `max_s`. The rest is left for a fallback.

        Raises:
            DeadlineExceededError: If the deadline has passed.
        """
        return Deadline.after(min(self.remaining() / 2, max_s))

    def error(self) -> DeadlineExceededError:
        """Return the error for a missed deadline."""
        return DeadlineExceededError(f"no response within {self.allowed_s:g} s: retry later, or increase timeout_s")
