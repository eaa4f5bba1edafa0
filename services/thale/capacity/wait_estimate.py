"""Expected wait of a new request, from the smoothed service time of the previous ones.

The facade's admission control and the capacity simulation share this estimate, so that a simulated facade rejects the
same requests as a real one (ADR 0017).
"""

_SMOOTHING_WEIGHT = 0.2
"""Weight of the newest service time in the exponential moving average."""


class WaitEstimate:
    """Queueing time estimate for servers that share one queue."""

    def __init__(self) -> None:
        self._service_time_s = 0.0
        """Smoothed time that a request holds its processing slot; 0 before the first observation."""

    def observe(self, service_time_s: float) -> None:
        """Record the time that a request held its processing slot."""
        weight = _SMOOTHING_WEIGHT if self._service_time_s else 1.0
        self._service_time_s += (service_time_s - self._service_time_s) * weight

    def expected_wait_s(self, in_flight: int, concurrency_limit: int) -> float:
        """Return the expected queueing time of one more request.

        Args:
            in_flight: Accepted requests without a response, running or queued.
            concurrency_limit: Requests that run at the same time.
        """
        queued_ahead = max(0, in_flight + 1 - concurrency_limit)
        return queued_ahead * self._service_time_s / max(1, concurrency_limit)
