"""When to stop asking a version that does not answer, and when to try it again: a circuit breaker for each.

    closed ──(too many of the last outcomes are failures)──▶ open ──(after a rest)──▶ half-open: one probe at a time
       ▲                                                       ▲                           │
       └───────────────(the probe succeeded)───────────────────┴──(the probe failed)───────┘

Pure but for the clock that it is given. After M. Nygard, Release It! (2007).
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """When a breaker opens, and for how long."""

    failures: int
    """Failures among the last `window` outcomes that open it."""
    window: int
    rest_s: float
    """The time in which nothing is asked, and after which a probe that nobody heard of again is given up."""


class Breaker:
    """The breaker of one version."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._failed: deque[bool] = deque(maxlen=limits.window)
        self._open = False
        self._probe_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it stops questions: all of them, or all but single probes."""
        return self._open

    def admits(self) -> bool:
        """Whether the version may be asked now. A True in the open state is the one probe of this rest."""
        if not self._open:
            return True
        now = self._clock()
        if now < self._probe_at:
            return False
        self._probe_at = now + self._limits.rest_s
        return True

    def succeeded(self) -> None:
        """Note an answer. It closes an open breaker: whoever answered is there."""
        if self._open:
            self._open = False
            self._failed.clear()
        self._failed.append(False)

    def failed(self) -> None:
        """Note a failure."""
        self._failed.append(True)
        if self._open or sum(self._failed) >= self._limits.failures:
            self._open = True
            self._probe_at = self._clock() + self._limits.rest_s
