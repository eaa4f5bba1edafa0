"""Account of one caller in one replica: leases and an allowance that the shared store has counted already.

No call in this module waits. Times are seconds of a monotonic clock.
"""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from thale.facade.limits.policy import (
    ALLOWANCE_SHARE,
    DAY_US,
    NO_ALLOWANCE,
    SECOND_US,
    Allowance,
    CallerLimits,
    Decision,
    Grant,
    Refund,
)

MAX_REUSE_S = 10.0
"""Age up to which a lease serves another request: less than the margin of a lease beyond the longest request."""


class HeldLease(NamedTuple):
    """Lease in the shared store, and the time at which it was granted."""

    lease: str
    granted_at_s: float


@dataclass(slots=True)
class ReplicaAccount:
    """Leases and allowance of one caller in one replica, and the latest decision of the shared store."""

    limits: CallerLimits
    decision: Decision
    """The latest decision of the shared store. Its rest excludes what this replica holds."""
    decided_at_s: float
    used_at_s: float
    allowance: Allowance = NO_ALLOWANCE
    low_requests: int = 0
    """Rest of the allowance at which the next one is fetched: a half, so that it arrives before it is needed."""
    running: dict[str, HeldLease] = field(default_factory=dict)
    """Lease in the shared store of each running request."""
    idle: list[HeldLease] = field(default_factory=list)
    """Leases of finished requests, which the next ones use."""
    calls: set[asyncio.Task[None]] = field(default_factory=set)
    """Calls of the shared store in the background."""

    def now_us(self, now_s: float) -> int:
        """Return the time of the shared store."""
        return self.decision.now_us + round((now_s - self.decided_at_s) * SECOND_US)

    def add(self, grant: Grant, now_s: float) -> None:
        """Record a decision of the shared store with its allowance."""
        held = self.allowance if self.allowance.day == grant.allowance.day else NO_ALLOWANCE
        self.allowance = Allowance(
            grant.allowance.day, held.requests + grant.allowance.requests, held.pixels + grant.allowance.pixels
        )
        self.low_requests = self.allowance.requests // 2
        self.decision = grant.decision._replace(exceeded=None, retry_after_us=0)
        self.decided_at_s = self.used_at_s = now_s

    def put_back(self, requests: int, pixels: int) -> None:
        """Add what a call of the shared store left of the allowance, and what it granted."""
        held = self.allowance
        self.allowance = held._replace(requests=held.requests + requests, pixels=held.pixels + pixels)

    def take_allowance(self) -> Allowance:
        """Return the allowance, and keep none."""
        allowance, self.allowance = self.allowance, Allowance(self.allowance.day)
        return allowance

    def admit(self, lease: str, now_s: float) -> Decision | None:
        """Admit a request with the leases and the allowance at hand. Return None if the shared store has to decide."""
        has_pixels = self.decision.pixels + self.allowance.pixels > 0
        if not self.idle or self.allowance.requests < 1 or not has_pixels or not self._is_of_today(now_s):
            return None
        if now_s - self.idle[-1].granted_at_s > MAX_REUSE_S:
            return None
        self.used_at_s = now_s
        self.running[lease] = self.idle.pop()
        self.allowance = self.allowance._replace(requests=self.allowance.requests - 1)
        return self.report(now_s)

    def take_pixels(self, pixels: int, now_s: float) -> bool:
        """Charge an image against the allowance. Return False if it does not suffice."""
        if not self._is_of_today(now_s) or self.allowance.pixels < pixels:
            return False
        self.allowance = self.allowance._replace(pixels=self.allowance.pixels - pixels)
        return True

    def keep(self, held: HeldLease, now_s: float) -> bool:
        """Keep the lease of a finished request, if it is fresh and many others are left. Return whether it is kept."""
        is_kept = len(self.idle) < self.decision.slots // ALLOWANCE_SHARE and now_s - held.granted_at_s <= MAX_REUSE_S
        if is_kept:
            self.idle.append(held)
        return is_kept

    def note_release(self, refund: Refund) -> None:
        """Update the latest decision after a lease was sent back."""
        requests, pixels = (refund.requests, refund.pixels) if refund.day == self.decision.day else (0, 0)
        self.decision = self.decision._replace(
            slots=self.decision.slots + 1,
            requests=self.decision.requests + requests,
            pixels=self.decision.pixels + pixels,
        )

    def is_low(self, now_s: float) -> bool:
        """Return True if the allowance is nearly used, and the shared store has another one."""
        if self.allowance.requests > self.low_requests:
            return False
        left = min(self.report(now_s).tokens - self.allowance.requests, self.decision.requests)
        return left >= ALLOWANCE_SHARE

    def report(self, now_s: float) -> Decision:
        """Return the latest decision as of now, with what this replica holds added to the rest."""
        now_us = self.now_us(now_s)
        elapsed_us = now_us - self.decision.now_us
        held_us = self.allowance.requests * self.limits.interval_us
        refilled_in_us = max(0, self.decision.refilled_in_us - elapsed_us - held_us)
        return self.decision._replace(
            now_us=now_us,
            tokens=(self.limits.refill_us - refilled_in_us) // self.limits.interval_us,
            refilled_in_us=refilled_in_us,
            slots=self.decision.slots + len(self.idle),
            requests=self.decision.requests + self.allowance.requests,
            pixels=self.decision.pixels + self.allowance.pixels,
        )

    def _is_of_today(self, now_s: float) -> bool:
        """Return True unless the daily budget has changed since the allowance was counted."""
        return self.allowance.day == self.now_us(now_s) // DAY_US
