"""Limiter of callers, and the reservation of one admitted request."""

import itertools
import secrets
from http import HTTPStatus

from thale.auth.principal import LOCAL, Principal
from thale.errors import RateLimitedError
from thale.facade.limits import rate_limit_fields
from thale.facade.limits.policy import CallerLimits, Decision, Limit, LimitStore, Refund
from thale.telemetry import metrics

_PROCESS_BYTES = 12
"""Leases of one caller are distinct: 96 random bits of the process, and a count."""


class Reservation:
    """Place of one request within the limits of its caller."""

    def __init__(self, limiter: "CallerLimiter", caller: str, lease: str, decision: Decision) -> None:
        self._limiter = limiter
        self._caller = caller
        self._lease = lease
        self._decision = decision
        self._day = decision.day
        self._refundable_pixels = 0
        self._is_finished = decision.exceeded is not None

    @property
    def fields(self) -> dict[str, str]:
        """The RateLimit fields of the response."""
        return {
            rate_limit_fields.POLICY_FIELD: self._limiter.policy_field,
            rate_limit_fields.RATE_LIMIT_FIELD: rate_limit_fields.format_rate_limit(self._decision),
        }

    @property
    def rejection(self) -> RateLimitedError | None:
        """The error of a request that a limit rejects, or None."""
        exceeded = self._decision.exceeded
        return None if exceeded is None else _rejection(exceeded, self._decision.retry_after_us)

    async def charge_pixels(self, pixels: int) -> None:
        """Charge an image against the daily budget, before its pixels are decoded.

        Raises:
            RateLimitedError: If the remaining budget is smaller. The image is not charged.
        """
        charge = await self._limiter.store.charge(self._caller, pixels, self._limiter.limits)
        self._decision = self._decision._replace(pixels=charge.pixels, now_us=charge.now_us)
        if not charge.is_admitted:
            raise _rejection("daily-megapixels", self._decision.day_ends_in_us)
        if self._decision.day == self._day:
            self._refundable_pixels += pixels

    async def finish(self, status: int | None) -> None:
        """End the request, and return its part of the daily budget if the response is 5xx, 429 or 409.

        504 returns only the request, not its megapixels: the client sets the deadline, and the work was done. A client
        that disconnects gets nothing back.

        Args:
            status: The status of the response. None if the client disconnected before it.
        """
        if self._is_finished:
            return
        self._is_finished = True
        is_failed = status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR
        is_unused = is_failed or status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.CONFLICT)
        is_processed = not is_failed or status == HTTPStatus.GATEWAY_TIMEOUT
        await self._release(Refund(self._day, int(is_unused), 0 if is_processed else self._refundable_pixels))

    async def finish_replay(self) -> None:
        """End a request whose response was stored before. It does not consume the daily budget."""
        self._is_finished = True
        await self._release(Refund(self._day, requests=1))

    async def _release(self, refund: Refund) -> None:
        decision = self._decision
        self._decision = decision._replace(
            requests=decision.requests + refund.requests, pixels=decision.pixels + refund.pixels
        )
        await self._limiter.store.release(self._caller, self._lease, refund)


class CallerLimiter:
    """Admits the requests of each caller within its limits. `LOCAL` has no limits."""

    def __init__(self, store: LimitStore, limits: CallerLimits) -> None:
        self.store = store
        self.limits = limits
        self.policy_field = rate_limit_fields.format_policy(limits)
        self._process = secrets.token_hex(_PROCESS_BYTES)
        self._leases = itertools.count()

    async def reserve(self, principal: Principal) -> Reservation | None:
        """Return the reservation of a request, admitted or rejected, or None if no limits apply to the caller."""
        if principal == LOCAL:
            return None
        lease = f"{self._process}:{next(self._leases)}"
        decision = await self.store.acquire(principal.id, lease, self.limits)
        return Reservation(self, principal.id, lease, decision)


def _rejection(limit: Limit, retry_after_us: int) -> RateLimitedError:
    metrics.LIMITED.labels(limit).inc()
    return RateLimitedError(limit, rate_limit_fields.seconds(retry_after_us))
