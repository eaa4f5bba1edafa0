"""Limit store that all replicas share, in Redis or Valkey."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.connection import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import RedisError

from thale.facade.limits import redis_scripts
from thale.facade.limits.policy import (
    ALLOWANCE_SHARE,
    CONCURRENCY_RETRY_US,
    LIMITS,
    NO_ALLOWANCE,
    Allowance,
    CallerLimits,
    Charge,
    ChargeGrant,
    Decision,
    Grant,
    Refund,
)

STORE_FAILURES = (RedisError, OSError)
"""Errors of an unavailable store. A timeout is an OSError."""
_MAX_CONNECTIONS = 16


class PasswordFile(CredentialProvider):
    """Password from a file, read again for each connection: a rotated password needs no restart."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get_credentials(self) -> tuple[str]:
        """Return the password."""
        return (self._path.read_text(encoding="utf-8").strip(),)

    async def get_credentials_async(self) -> tuple[str]:
        """Return the password."""
        return self.get_credentials()


def connect(url: str, password_path: Path | None, timeout_s: float) -> "Redis":
    """Return a client. It connects on first use, waits up to the timeout, and does not retry."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_MAX_CONNECTIONS,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        credential_provider=None if password_path is None else PasswordFile(password_path),
    )
    return Redis.from_pool(pool)


class RedisLimitStore:
    """Limit store in Redis. Implements `SharedLimitStore`. Its methods raise `STORE_FAILURES`.

    The keys of a caller share a hash slot of Redis Cluster. They contain a digest of the caller's id, not the id.
    """

    def __init__(self, client: "Redis") -> None:
        self._client = client
        self._acquire = client.register_script(redis_scripts.ACQUIRE)
        self._charge = client.register_script(redis_scripts.CHARGE)
        self._release = client.register_script(redis_scripts.RELEASE)

    async def acquire(self, caller: str, lease: str, limits: CallerLimits) -> Decision:
        """Admit a request and count it, or reject it and count nothing."""
        return (await self.acquire_with_allowance(caller, lease, limits, NO_ALLOWANCE, NO_ALLOWANCE)).decision

    async def acquire_with_allowance(
        self, caller: str, lease: str, limits: CallerLimits, wanted: Allowance, returned: Allowance
    ) -> Grant:
        """Return an allowance, then admit or reject a request, then take a part of the rest as a new allowance.

        Without a lease, only the allowances are exchanged.
        """
        arguments: list[int | str] = [
            limits.interval_us,
            limits.burst,
            limits.concurrency,
            limits.daily_requests,
            limits.daily_pixels,
            limits.lease_us,
            lease,
            CONCURRENCY_RETRY_US,
            ALLOWANCE_SHARE,
            wanted.requests,
            wanted.pixels,
            returned.day,
            returned.requests,
            returned.pixels,
        ]
        exceeded, *fields, requests, pixels = await self._acquire(keys=_keys(caller), args=arguments)
        decision = Decision(LIMITS[exceeded - 1] if exceeded else None, *fields)
        return Grant(decision, Allowance(decision.day, requests, pixels))

    async def charge(self, caller: str, pixels: int, limits: CallerLimits) -> Charge:
        """Charge the pixels of an image against the daily budget, or reject it and charge nothing."""
        return (await self.charge_with_allowance(caller, pixels, limits, 0)).charge

    async def charge_with_allowance(
        self, caller: str, pixels: int, limits: CallerLimits, wanted_pixels: int
    ) -> ChargeGrant:
        """Charge the pixels of an image, and take a part of the rest as an allowance."""
        arguments = [pixels, limits.daily_pixels, limits.refill_us, wanted_pixels, ALLOWANCE_SHARE]
        admitted, left, now_us, extra = await self._charge(keys=_keys(caller)[:1], args=arguments)
        return ChargeGrant(Charge(bool(admitted), left, now_us), extra)

    async def release(self, caller: str, lease: str, refund: Refund) -> None:
        """End a request. A second release of the same lease changes nothing."""
        await self._release(keys=_keys(caller), args=[refund.day, refund.requests, refund.pixels, 0, lease])

    async def return_allowance(
        self, caller: str, leases: Sequence[str], allowance: Allowance, limits: CallerLimits
    ) -> None:
        """Return leases that no request holds, and the rest of an allowance."""
        tokens_us = allowance.requests * limits.interval_us
        arguments: list[int | str] = [allowance.day, allowance.requests, allowance.pixels, tokens_us, *leases]
        await self._release(keys=_keys(caller), args=arguments)


def caller_digest(caller: str) -> str:
    """Return a digest of a caller's id for the keys of the store."""
    return hashlib.blake2b(caller.encode(), digest_size=16).hexdigest()


def _keys(caller: str) -> list[str]:
    prefix = f"thale:limits:{{{caller_digest(caller)}}}"
    return [f"{prefix}:counters", f"{prefix}:leases"]
