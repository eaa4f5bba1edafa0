"""Shared limit store with allowances: far from its limits, a caller is admitted without a call of the shared store.

A replica counts a few requests and pixels in advance, and uses the lease of a finished request for the next one. What
it holds is counted already, so no number of replicas admits more than the limits. Close to a limit, allowances are
empty, and the shared store decides each request.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine

from thale.facade.limits.policy import (
    NO_ALLOWANCE,
    PIXELS_PER_MEGAPIXEL,
    Allowance,
    CallerLimits,
    Charge,
    Decision,
    LimitStore,
    Refund,
    SharedLimitStore,
)
from thale.facade.limits.replica_account import HeldLease, ReplicaAccount
from thale.facade.limits.store_circuit import StoreCircuit

HOLD_S = 2.0
"""Time for which a replica holds what it does not use."""
_WANTED = Allowance(day=0, requests=16, pixels=64 * PIXELS_PER_MEGAPIXEL)
_FEW_SLOTS = 2
"""Free leases below which a request returns its own before its response is sent."""


class AllowanceLimitStore:
    """Limit store of one replica. Implements `LimitStore` and raises no error of the shared store.

    Calls that no request waits for run in the background. A request that needs the shared store waits for the
    releases of its caller first, so that its own lease is never in its way.
    """

    def __init__(
        self,
        shared: SharedLimitStore,
        fallback: LimitStore,
        circuit: StoreCircuit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without allowances.

        Args:
            shared: Store of all replicas.
            fallback: Store that decides while the shared one is unavailable, such as `FallbackLimitStore`.
            circuit: Circuit to the shared store.
            clock: Monotonic clock in seconds.
        """
        self._shared = shared
        self._fallback = fallback
        self._circuit = circuit
        self._clock = clock
        self._accounts: dict[str, ReplicaAccount] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    async def acquire(self, caller: str, lease: str, limits: CallerLimits) -> Decision:
        """Admit a request and count it, or reject it and count nothing."""
        account = self._accounts.get(caller)
        now_s = self._clock()
        if account is None or (decision := account.admit(lease, now_s)) is None:
            return await self._acquire_shared(caller, lease, limits)
        if not account.calls and account.is_low(now_s):
            self._start(account, self._refill(caller, account))
        return decision

    async def charge(self, caller: str, pixels: int, limits: CallerLimits) -> Charge:
        """Charge the pixels of an image against the daily budget, or reject it and charge nothing."""
        account = self._accounts.get(caller)
        now_s = self._clock()
        if account is None:
            return await self._fallback.charge(caller, pixels, limits)
        if account.take_pixels(pixels, now_s):
            report = account.report(now_s)
            return Charge(True, report.pixels, report.now_us)
        own = account.take_allowance()
        needed = pixels - min(pixels, own.pixels)
        grant = await self._circuit.call(
            lambda: self._shared.charge_with_allowance(caller, needed, limits, _WANTED.pixels)
        )
        if grant is None:
            account.put_back(own.requests, own.pixels)
            return await self._fallback.charge(caller, pixels, limits)
        account.put_back(own.requests, grant.pixels if grant.charge.is_admitted else own.pixels)
        account.decision = account.decision._replace(pixels=grant.charge.pixels)
        return grant.charge._replace(pixels=grant.charge.pixels + account.allowance.pixels)

    async def release(self, caller: str, lease: str, refund: Refund) -> None:
        """End a request. A second release of the same lease changes nothing."""
        account = self._accounts.get(caller)
        held = None if account is None else account.running.pop(lease, None)
        if account is None or held is None:
            await self._fallback.release(caller, lease, refund)
            return
        account.used_at_s = now_s = self._clock()
        is_refund = bool(refund.requests or refund.pixels)
        if not is_refund and account.keep(held, now_s):
            return
        has_few_slots = account.decision.slots < _FEW_SLOTS
        account.note_release(refund)
        call = self._call(lambda: self._shared.release(caller, held.lease, refund))
        if has_few_slots:
            await call
        else:
            self._start(account, call)

    async def close(self) -> None:
        """Return everything that this replica holds."""
        await self._wait_for_calls()  # they may bring allowances
        for caller, account in self._accounts.items():
            self._return(caller, account)
        await self._wait_for_calls()

    async def _wait_for_calls(self) -> None:
        if calls := [call for account in self._accounts.values() for call in account.calls]:
            await asyncio.wait(calls)

    async def _acquire_shared(self, caller: str, lease: str, limits: CallerLimits) -> Decision:
        account = self._accounts.get(caller)
        if account is not None and account.calls:
            await asyncio.wait(account.calls)
            if (decision := account.admit(lease, self._clock())) is not None:
                return decision
            account = self._accounts.get(caller)
        returned = NO_ALLOWANCE if account is None else account.take_allowance()
        grant = await self._circuit.call(
            lambda: self._shared.acquire_with_allowance(caller, lease, limits, _WANTED, returned)
        )
        if grant is None:
            return await self._fallback.acquire(caller, lease, limits)
        now_s = self._clock()
        account = self._accounts.get(caller)
        if account is None:
            account = self._accounts[caller] = ReplicaAccount(limits, grant.decision, now_s, now_s)
            self._return_later(caller, account, HOLD_S)
        account.add(grant, now_s)
        exceeded, retry_after_us = grant.decision.exceeded, grant.decision.retry_after_us
        if exceeded is None:
            account.running[lease] = HeldLease(lease, now_s)
        return account.report(now_s)._replace(exceeded=exceeded, retry_after_us=retry_after_us)

    async def _refill(self, caller: str, account: ReplicaAccount) -> None:
        wanted = _WANTED._replace(pixels=max(0, _WANTED.pixels - account.allowance.pixels))
        grant = await self._circuit.call(
            lambda: self._shared.acquire_with_allowance(caller, "", account.limits, wanted, NO_ALLOWANCE)
        )
        if grant is not None:
            account.add(grant, self._clock())

    def _return_later(self, caller: str, account: ReplicaAccount, delay_s: float) -> None:
        asyncio.get_running_loop().call_later(delay_s, self._return_if_unused, caller, account)

    def _return_if_unused(self, caller: str, account: ReplicaAccount) -> None:
        """Return what a caller has not used for a while. Remove its account once no request runs."""
        unused_s = self._clock() - account.used_at_s
        if unused_s < HOLD_S:
            self._return_later(caller, account, HOLD_S - unused_s)
            return
        self._return(caller, account)
        if account.running or account.calls:
            self._return_later(caller, account, HOLD_S)
        elif self._accounts.get(caller) is account:
            del self._accounts[caller]

    def _return(self, caller: str, account: ReplicaAccount) -> None:
        allowance, leases = account.take_allowance(), [held.lease for held in account.idle]
        account.idle.clear()
        if not (leases or allowance.requests or allowance.pixels):
            return
        account.decision = account.decision._replace(slots=account.decision.slots + len(leases))
        self._start(
            account,
            self._call(lambda: self._shared.return_allowance(caller, leases, allowance, account.limits)),
        )

    async def _call(self, call: Callable[[], Awaitable[None]]) -> None:
        await self._circuit.call(call)

    def _start(self, account: ReplicaAccount, call: Coroutine[None, None, None]) -> None:
        """Run a call in the background."""
        task = asyncio.get_running_loop().create_task(call)
        account.calls.add(task)
        task.add_done_callback(account.calls.discard)
