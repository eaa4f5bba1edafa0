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
class BreakerConfig:
    """When a breaker opens, and for how long."""

    failures: int
    """Failures among the last `window` outcomes that open it."""
    window: int
    open_s: float
    """The time in which nothing is asked, and after which a probe that nobody heard of again is given up."""


class CircuitBreaker:
    """The breaker of one version."""

    def __init__(self, config: BreakerConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._recent_failures: deque[bool] = deque(maxlen=config.window)
        self._open = False
        self._next_probe_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it stops questions: all of them, or all but single probes."""
        return self._open

    def allows(self) -> bool:
        """Whether the version may be asked now. A True in the open state is the one probe of this rest."""
        if not self._open:
            return True
        now = self._clock()
        if now < self._next_probe_at:
            return False
        self._next_probe_at = now + self._config.open_s
        return True

    def record_success(self) -> None:
        """Note an answer. It closes an open breaker: whoever answered is there."""
        if self._open:
            self._open = False
            self._recent_failures.clear()
        self._recent_failures.append(False)

    def record_failure(self) -> None:
        """Note a failure."""
        self._recent_failures.append(True)
        if self._open or sum(self._recent_failures) >= self._config.failures:
            self._open = True
            self._next_probe_at = self._clock() + self._config.open_s
