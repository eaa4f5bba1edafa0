"""Expected wait of a new request, from the estimated cost of the requests ahead and the measured speed of the server.

The facade's admission control and the capacity simulation share this estimate, so that a simulated facade rejects the
same requests as a real one (ADR 0017, ADR 0083).
"""

import math

_SMOOTHING_WEIGHT = 0.2
"""Weight of the newest measurement in the exponential moving average."""
_HALF_LIFE_S = 60.0
"""Half-life of a measured slowdown. Without new measurements, the estimate returns to that of the cost model."""
_MAX_SLOWDOWN = 10.0
"""Maximum ratio of one measurement. A worker that restarts makes one image a hundred times slower than the next."""


class WaitEstimate:
    """Queueing time estimate for servers that share one queue of requests with different costs."""

    def __init__(self) -> None:
        self._slowdown = 1.0
        """Smoothed ratio of the measured service time to the estimated cost."""
        self._measured_at_s: float | None = None

    def observe(self, cost_s: float, service_time_s: float, now_s: float) -> None:
        """Record the time that a request of an estimated cost held its processing slot."""
        ratio = min(service_time_s / cost_s, _MAX_SLOWDOWN)
        weight = 1.0 if self._measured_at_s is None else _SMOOTHING_WEIGHT
        slowdown = self.slowdown(now_s)
        self._slowdown = slowdown + (ratio - slowdown) * weight
        self._measured_at_s = now_s

    def slowdown(self, now_s: float) -> float:
        """Return the ratio of the service time to the estimated cost: 1 before the first and long after the last one.

        Args:
            now_s: Time on the clock of `observe`, seconds.
        """
        if self._measured_at_s is None:
            return 1.0
        return 1.0 + (self._slowdown - 1.0) * math.exp((self._measured_at_s - now_s) * math.log(2) / _HALF_LIFE_S)

    def expected_wait_s(
        self, queued_cost_s: float, running_cost_s: float, concurrency_limit: int, now_s: float
    ) -> float:
        """Return the expected queueing time of one more request, if all processing slots are busy.

        Every slot then has a share of the queue to process, after the rest of its current request.

        Args:
            queued_cost_s: Sum of the estimated costs of the queued requests.
            running_cost_s: Sum of the estimated costs of the running requests.
            concurrency_limit: Requests that run at the same time.
            now_s: Time on the clock of `observe`, seconds.
        """
        slots = max(1, concurrency_limit)
        return (queued_cost_s + running_cost_s / slots) * self.slowdown(now_s) / slots
