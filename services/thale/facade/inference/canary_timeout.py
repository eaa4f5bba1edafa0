"""Timeout of a canary's requests, relative to the latency of the stable version.

With a constant timeout, every response of a good canary would be late on slow nodes, and a rollback would follow.
"""

import math
from collections import deque

from thale.facade.settings import FacadeSettings
from thale.facade.upstream.routing import Route

_WINDOW = 256
"""Responses of a version from which the latency is estimated."""
_QUANTILE = 0.99
_FULL_SHARE = 0.4
"""Share of `request_timeout_s` that counts as a full attempt: half, less the time before the model request."""


class CanaryTimeout:
    """Timeout of canaries: `canary_timeout_factor` times the stable version's p99, at least `canary_timeout_s`."""

    def __init__(self, settings: FacadeSettings) -> None:
        self._min_s, self._factor = settings.canary_timeout_s, settings.canary_timeout_factor
        self._full_attempt_s = _FULL_SHARE * settings.request_timeout_s
        self._seconds: dict[tuple[str, str], deque[float]] = {}

    def record(self, route: Route, seconds: float) -> None:
        """Record the latency of a stable version's response in seconds."""
        if route.fallback is None:
            self._seconds.setdefault((route.name, route.version), deque(maxlen=_WINDOW)).append(seconds)

    def seconds(self, canary: Route) -> float:
        """Return the timeout of a canary in seconds. The caller also bounds it by half of the remaining time."""
        stable = canary.fallback
        recorded = self._seconds.get((stable.name, stable.version)) if stable is not None else None
        if not recorded:
            return self._min_s
        return max(self._min_s, self._factor * _quantile(recorded))

    def is_full_attempt(self, route: Route, allowed_s: float) -> bool:
        """Return True if a version had its full time. If not, a client's short deadline caused the timeout."""
        timeout_s = self._min_s if route.fallback is None else self.seconds(route)
        return allowed_s >= min(timeout_s, max(self._min_s, self._full_attempt_s))


def _quantile(recorded: deque[float]) -> float:
    """Return the 99th percentile by nearest rank."""
    ordered = sorted(recorded)
    return ordered[math.ceil(_QUANTILE * len(ordered)) - 1]
