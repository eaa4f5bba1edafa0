"""Shared limit store with a fallback in process, for the time in which the shared store is unavailable.

Requests must not fail because a rate limiter is down, and must not pass without limits either. Each replica then
applies the limits on its own, so that N replicas admit up to N times the limits.
"""

from thale.facade.limits.policy import CallerLimits, Charge, Decision, LimitStore, Refund
from thale.facade.limits.store_circuit import StoreCircuit


class FallbackLimitStore:
    """Limit store that prefers the shared store. Implements `LimitStore` and raises no error of the shared store."""

    def __init__(self, shared: LimitStore, fallback: LimitStore, circuit: StoreCircuit) -> None:
        self._shared = shared
        self._fallback = fallback
        self._circuit = circuit

    async def acquire(self, caller: str, lease: str, limits: CallerLimits) -> Decision:
        """Admit a request and count it, or reject it and count nothing."""
        decision = await self._circuit.call(lambda: self._shared.acquire(caller, lease, limits))
        return decision or await self._fallback.acquire(caller, lease, limits)

    async def charge(self, caller: str, pixels: int, limits: CallerLimits) -> Charge:
        """Charge the pixels of an image against the daily budget, or reject it and charge nothing."""
        charge = await self._circuit.call(lambda: self._shared.charge(caller, pixels, limits))
        return charge or await self._fallback.charge(caller, pixels, limits)

    async def release(self, caller: str, lease: str, refund: Refund) -> None:
        """End a request in both stores: a call that timed out may have reached the shared store."""
        await self._fallback.release(caller, lease, refund)
        await self._circuit.call(lambda: self._shared.release(caller, lease, refund))
