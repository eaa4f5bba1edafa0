"""The moment by which a request must be answered, handed down to every step that waits."""

import math
import time
from dataclasses import dataclass
from typing import Self

from thale.errors import DeadlineExceededError


@dataclass(frozen=True)
class Deadline:
    """A moment on the machine's monotonic clock, which all of its processes share."""

    at: float
    allowed_s: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return the deadline that many seconds from now."""
        return cls(time.monotonic() + seconds, seconds)

    def remaining(self) -> float:
        """Return the seconds left.

        Raises:
            DeadlineExceededError: If none are.
        """
        left = self.at - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    def half(self, max_s: float = math.inf) -> "Deadline":
        """Return a deadline that leaves half of the time for whoever comes next.

        Raises:
            DeadlineExceededError: If no time is left.
        """
        return Deadline.after(min(self.remaining() / 2, max_s))

    def error(self) -> DeadlineExceededError:
        """Return the error that says so."""
        return DeadlineExceededError(
            f"there was no answer within {self.allowed_s:g} s: ask again later, or allow more with timeout_s"
        )
