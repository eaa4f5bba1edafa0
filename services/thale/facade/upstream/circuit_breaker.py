"""Circuit breaker for one model version.

    closed ──(too many recent failures)──▶ open ──(after the open interval)──▶ half-open: one probe at a time
       ▲                                    ▲                                       │
       └──────────(the probe succeeded)─────┴─────────────(the probe failed)────────┘

The clock is its only input besides the recorded outcomes. Source: M. Nygard, Release It! (2007).
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class BreakerConfig:
    """Threshold and open interval of a circuit breaker."""

    failures: int
    """Failures among the last `window` outcomes that open the circuit breaker."""
    window: int
    open_s: float
    """The open interval. A probe without an outcome expires after the same time."""


class CircuitBreaker:
    """Circuit breaker of one version."""

    def __init__(self, config: BreakerConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._recent_failures: deque[bool] = deque(maxlen=config.window)
        self._open = False
        self._next_probe_at = 0.0

    @property
    def is_open(self) -> bool:
        """True if the circuit breaker is open or half-open."""
        return self._open

    def allows(self) -> bool:
        """Return True if a request may be sent now. In the open state, True starts the one probe of the interval."""
        if not self._open:
            return True
        now = self._clock()
        if now < self._next_probe_at:
            return False
        self._next_probe_at = now + self._config.open_s
        return True

    def record_success(self) -> None:
        """Record a success. It closes an open circuit breaker."""
        if self._open:
            self._open = False
            self._recent_failures.clear()
        self._recent_failures.append(False)

    def record_failure(self) -> None:
        """Record a failure."""
        self._recent_failures.append(True)
        if self._open or sum(self._recent_failures) >= self._config.failures:
            self._open = True
            self._next_probe_at = self._clock() + self._config.open_s
