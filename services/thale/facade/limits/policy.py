"""Limits that apply to every caller, and the outcome of one decision."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from thale.facade.settings import FacadeSettings

Limit = Literal["rate", "concurrency", "daily-requests", "daily-megapixels"]
LIMITS: tuple[Limit, ...] = ("rate", "concurrency", "daily-requests", "daily-megapixels")

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
PIXELS_PER_MEGAPIXEL = 1_000_000
CONCURRENCY_RETRY_US = SECOND_US
"""Retry-After of the concurrency limit: the end of a running request is unknown."""
ALLOWANCE_SHARE = 4
"""An allowance takes up to this fraction of what is left: 1/4. Close to a limit, it is empty."""
_LEASE_MARGIN_S = 30


@dataclass(frozen=True)
class CallerLimits:
    """Limits of each caller, in integers: both stores compute the same decisions without rounding."""

    interval_us: int
    """Time in which the token bucket gains one token, rounded up."""
    burst: int
    """Size of the token bucket."""
    concurrency: int
    daily_requests: int
    daily_pixels: int
    lease_us: int
    """Maximum time for which a request counts towards the concurrency limit: longer than any request may take."""

    @classmethod
    def from_settings(cls, settings: FacadeSettings) -> "CallerLimits":
        """Return the limits of the settings."""
        lease_s = settings.upload_timeout_s + settings.request_timeout_s + _LEASE_MARGIN_S
        return cls(
            interval_us=math.ceil(SECOND_US / settings.caller_rate_per_s),
            burst=settings.caller_burst,
            concurrency=settings.caller_concurrency,
            daily_requests=settings.caller_daily_requests,
            daily_pixels=settings.caller_daily_megapixels * PIXELS_PER_MEGAPIXEL,
            lease_us=math.ceil(lease_s * SECOND_US),
        )

    @property
    def refill_us(self) -> int:
        """Time in which an empty token bucket fills."""
        return self.interval_us * self.burst


class Decision(NamedTuple):
    """Outcome of one decision, and what is left of each limit after it."""

    exceeded: Limit | None
    """The limit that rejects the request, or None if the request is admitted."""
    retry_after_us: int
    """Time until the exceeded limit admits a request; 0 if the request is admitted."""
    now_us: int
    """Time of the store, in microseconds since 1970."""
    tokens: int
    refilled_in_us: int
    """Time until the token bucket is full."""
    slots: int
    """Requests that the caller may start in addition to the running ones."""
    requests: int
    """Requests left of the daily budget."""
    pixels: int
    """Pixels left of the daily budget."""

    @property
    def day(self) -> int:
        """UTC day of the decision, in days since 1970."""
        return self.now_us // DAY_US

    @property
    def day_ends_in_us(self) -> int:
        """Time until the daily budget is reset, at the next midnight in UTC."""
        return DAY_US - self.now_us % DAY_US


class Charge(NamedTuple):
    """Outcome of a charge against the daily budget of megapixels. A rejected charge changes nothing."""

    is_admitted: bool
    pixels: int
    """Pixels left of the daily budget."""
    now_us: int


class Refund(NamedTuple):
    """Part of a daily budget that a request returns at its end."""

    day: int
    """UTC day on which the request was admitted. A refund on a later day changes nothing."""
    requests: int = 0
    pixels: int = 0


class Allowance(NamedTuple):
    """Part of the limits of a caller that one replica has counted in the shared store before any request uses it."""

    day: int
    """UTC day to which the daily budgets belong."""
    requests: int = 0
    """Requests, each with one token of the bucket and one request of the daily budget."""
    pixels: int = 0


NO_ALLOWANCE = Allowance(0)


class Grant(NamedTuple):
    """Decision of a shared store, with an allowance for later requests. The rest in the decision excludes it."""

    decision: Decision
    allowance: Allowance


class ChargeGrant(NamedTuple):
    """Charge of a shared store, with pixels for later images. The rest in the charge excludes them."""

    charge: Charge
    pixels: int


class LimitStore(Protocol):
    """Counters of all callers. Each method is atomic and reads the store's own clock."""

    async def acquire(self, caller: str, lease: str, limits: CallerLimits) -> Decision:
        """Admit a request and count it, or reject it and count nothing."""
        ...

    async def charge(self, caller: str, pixels: int, limits: CallerLimits) -> Charge:
        """Charge the pixels of an image against the daily budget, or reject it and charge nothing."""
        ...

    async def release(self, caller: str, lease: str, refund: Refund) -> None:
        """End a request. A second release of the same lease changes nothing."""
        ...


class SharedLimitStore(LimitStore, Protocol):
    """Counters that several replicas share."""

    async def acquire_with_allowance(
        self, caller: str, lease: str, limits: CallerLimits, wanted: Allowance, returned: Allowance
    ) -> Grant:
        """Return an allowance, then admit or reject a request, then take a part of the rest as a new allowance."""
        ...

    async def charge_with_allowance(
        self, caller: str, pixels: int, limits: CallerLimits, wanted_pixels: int
    ) -> ChargeGrant:
        """Charge the pixels of an image, and take a part of the rest as an allowance."""
        ...

    async def return_allowance(
        self, caller: str, leases: Sequence[str], allowance: Allowance, limits: CallerLimits
    ) -> None:
        """Return leases that no request holds, and the rest of an allowance."""
        ...
