"""Limit store of one process.

The rate is the generic cell rate algorithm (GCRA, ITU-T I.371), which is a token bucket whose whole state is one time:
the theoretical arrival time (TAT) of the next request at a constant rate. All arithmetic is in integers.

The clock may jump. A TAT that is later than that of an empty bucket counts as an empty bucket, and a lease expires no
later than one that starts now. A jump therefore costs or grants a caller up to one bucket, one set of leases and one
daily budget.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from thale.facade.limits.policy import (
    CONCURRENCY_RETRY_US,
    DAY_US,
    CallerLimits,
    Charge,
    Decision,
    Limit,
    Refund,
)

MAX_CALLERS = 20_000
"""Maximum number of callers with counters. 20,000 with one running request each need about 12 MB."""
_SWEEP = 2
"""Oldest callers that each decision checks for removal: more than one, so that the table shrinks."""


def wall_clock_us() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


@dataclass(slots=True)
class _Counters:
    """Counters of one caller."""

    tat_us: int = 0
    day: int = 0
    requests: int = 0
    pixels: int = 0
    leases: dict[str, int] = field(default_factory=dict)
    """Expiry of each running request."""

    def advance(self, now_us: int, limits: CallerLimits) -> None:
        """Apply the time that has passed since the last decision."""
        self.start_day(now_us)
        self.tat_us = min(max(self.tat_us, now_us), now_us + limits.refill_us)
        latest_us = now_us + limits.lease_us
        for lease, expires_us in list(self.leases.items()):
            if expires_us <= now_us:
                del self.leases[lease]
            elif expires_us > latest_us:
                self.leases[lease] = latest_us

    def start_day(self, now_us: int) -> None:
        """Reset the daily budget if the UTC day has changed."""
        day = now_us // DAY_US
        if day != self.day:
            self.day, self.requests, self.pixels = day, 0, 0

    def exceeded_limit(self, now_us: int, limits: CallerLimits) -> tuple[Limit | None, int]:
        """Return the first limit that rejects a request now, and the time until it admits one."""
        if self.requests >= limits.daily_requests:
            return "daily-requests", DAY_US - now_us % DAY_US
        if self.pixels >= limits.daily_pixels:
            return "daily-megapixels", DAY_US - now_us % DAY_US
        if len(self.leases) >= limits.concurrency:
            return "concurrency", CONCURRENCY_RETRY_US
        late_us = self.tat_us + limits.interval_us - (now_us + limits.refill_us)
        return ("rate", late_us) if late_us > 0 else (None, 0)

    def is_new(self, now_us: int) -> bool:
        """Return True if the counters equal those of a caller without requests."""
        is_unused_today = self.day != now_us // DAY_US or not (self.requests or self.pixels)
        return is_unused_today and self.tat_us <= now_us and not any(end > now_us for end in self.leases.values())


class MemoryLimitStore:
    """Limit store in the memory of this process. Implements `LimitStore`."""

    def __init__(self, clock_us: Callable[[], int] = wall_clock_us, max_callers: int = MAX_CALLERS) -> None:
        self._clock_us = clock_us
        self._max_callers = max_callers
        self._counters: OrderedDict[str, _Counters] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counters)

    async def acquire(self, caller: str, lease: str, limits: CallerLimits) -> Decision:
        """Admit a request and count it, or reject it and count nothing."""
        now_us = self._clock_us()
        counters = self._counters_of(caller, now_us)
        counters.advance(now_us, limits)
        exceeded, retry_after_us = counters.exceeded_limit(now_us, limits)
        if exceeded is None:
            counters.tat_us += limits.interval_us
            counters.requests += 1
            counters.leases[lease] = now_us + limits.lease_us
        return Decision(
            exceeded=exceeded,
            retry_after_us=retry_after_us,
            now_us=now_us,
            tokens=(now_us + limits.refill_us - counters.tat_us) // limits.interval_us,
            refilled_in_us=counters.tat_us - now_us,
            slots=max(0, limits.concurrency - len(counters.leases)),
            requests=max(0, limits.daily_requests - counters.requests),
            pixels=max(0, limits.daily_pixels - counters.pixels),
        )

    async def charge(self, caller: str, pixels: int, limits: CallerLimits) -> Charge:
        """Charge the pixels of an image against the daily budget, or reject it and charge nothing."""
        now_us = self._clock_us()
        counters = self._counters_of(caller, now_us)
        counters.start_day(now_us)
        is_admitted = counters.pixels + pixels <= limits.daily_pixels
        if is_admitted:
            counters.pixels += pixels
        return Charge(is_admitted, max(0, limits.daily_pixels - counters.pixels), now_us)

    async def release(self, caller: str, lease: str, refund: Refund) -> None:
        """End a request. A second release of the same lease changes nothing."""
        counters = self._counters.get(caller)
        if counters is None or counters.leases.pop(lease, None) is None or counters.day != refund.day:
            return
        counters.requests = max(0, counters.requests - refund.requests)
        counters.pixels = max(0, counters.pixels - refund.pixels)

    def _counters_of(self, caller: str, now_us: int) -> _Counters:
        """Return the counters of a caller. Remove old ones, and the least recently used above the maximum."""
        counters = self._counters.get(caller)
        if counters is None:
            counters = self._counters[caller] = _Counters()
        self._counters.move_to_end(caller)
        for _ in range(_SWEEP):
            oldest = next(iter(self._counters))
            is_removable = len(self._counters) > self._max_callers or self._counters[oldest].is_new(now_us)
            if oldest == caller or not is_removable:
                break
            del self._counters[oldest]
        return counters
