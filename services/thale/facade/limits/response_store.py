"""Responses to requests with an idempotency key, for a limited time and up to a limited size."""

import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from thale.facade.limits.idempotency_key import ScopedKey

MAX_RESPONSE_BYTES = 2**20
"""A larger response is not stored: its request runs again."""
MAX_CALLER_BYTES = 4 * 2**20
"""Maximum size of the stored responses of one caller. A new one removes the oldest ones of the same caller first."""
MAX_TOTAL_BYTES = 64 * 2**20
MAX_AGE_S = 600
_ENTRY_BYTES = 1024
"""Estimate of the memory of an entry without its body and headers."""

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response, with the fingerprint of its request."""

    request: str
    """Digest of the request without its body."""
    body_digest: str
    """Digest of the request's body."""
    status: int
    headers: Headers
    body: bytes

    @property
    def size_bytes(self) -> int:
        """Size in a store."""
        return _ENTRY_BYTES + len(self.body) + sum(len(name) + len(value) for name, value in self.headers)

    def to_bytes(self) -> bytes:
        """Return the response as one line of JSON and the body."""
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers]
        line = json.dumps([self.request, self.body_digest, self.status, headers])
        return line.encode() + b"\n" + self.body

    @classmethod
    def from_bytes(cls, data: bytes) -> "StoredResponse":
        """Return the response of `to_bytes`."""
        line, _, body = data.partition(b"\n")
        request, body_digest, status, headers = json.loads(line)
        pairs = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
        return cls(request, body_digest, status, pairs, body)


Beginning = StoredResponse | Literal["new", "running"]
"""The stored response of a key, or whether the request runs for the first time or already."""


class ResponseStore(Protocol):
    """Stored responses by caller and idempotency key. The token identifies the request that holds a key."""

    async def begin(self, key: ScopedKey, token: str) -> Beginning:
        """Hold a key for a request, unless another one holds it or has a stored response."""
        ...

    async def save(self, key: ScopedKey, token: str, response: StoredResponse) -> bool:
        """Store the response of the request that holds the key. Return False if it does not hold it any more."""
        ...

    async def abandon(self, key: ScopedKey, token: str) -> bool:
        """Release a key without a response. Return False if the request does not hold it."""
        ...


class MemoryResponseStore:
    """Stored responses in the memory of this process. Implements `ResponseStore`.

    A running request holds one small entry. The concurrency limits of callers and admission control bound their number.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        max_total_bytes: int = MAX_TOTAL_BYTES,
        max_caller_bytes: int = MAX_CALLER_BYTES,
    ) -> None:
        self._clock = clock
        self._max_total_bytes = max_total_bytes
        self._max_caller_bytes = max_caller_bytes
        self._running: dict[ScopedKey, str] = {}
        self._responses: OrderedDict[ScopedKey, tuple[float, StoredResponse]] = OrderedDict()
        self._keys_by_caller: dict[str, OrderedDict[ScopedKey, None]] = {}
        self._bytes_by_caller: dict[str, int] = {}
        self.total_bytes = 0

    def __len__(self) -> int:
        return len(self._responses) + len(self._running)

    async def begin(self, key: ScopedKey, token: str) -> Beginning:
        """Hold a key for a request, unless another one holds it or has a stored response."""
        self._remove_expired()
        if key in self._responses:
            return self._responses[key][1]
        if self._running.setdefault(key, token) != token:
            return "running"
        return "new"

    async def save(self, key: ScopedKey, token: str, response: StoredResponse) -> bool:
        """Store the response of the request that holds the key. Remove the oldest responses above the maximum size."""
        if not await self.abandon(key, token):
            return False
        self._responses[key] = (self._clock() + MAX_AGE_S, response)
        self._keys_by_caller.setdefault(key.caller, OrderedDict())[key] = None
        self._bytes_by_caller[key.caller] = self._bytes_by_caller.get(key.caller, 0) + response.size_bytes
        self.total_bytes += response.size_bytes
        while self._bytes_by_caller.get(key.caller, 0) > self._max_caller_bytes:
            self._remove(next(iter(self._keys_by_caller[key.caller])))
        while self.total_bytes > self._max_total_bytes:
            self._remove(next(iter(self._responses)))
        return True

    async def abandon(self, key: ScopedKey, token: str) -> bool:
        """Release a key without a response. Return False if the request does not hold it."""
        if self._running.get(key) != token:
            return False
        del self._running[key]
        return True

    def _remove_expired(self) -> None:
        now = self._clock()
        while self._responses:
            key, (expires_at, _) = next(iter(self._responses.items()))
            if expires_at > now:
                return
            self._remove(key)

    def _remove(self, key: ScopedKey) -> None:
        _, response = self._responses.pop(key)
        self.total_bytes -= response.size_bytes
        keys = self._keys_by_caller[key.caller]
        del keys[key]
        if keys:
            self._bytes_by_caller[key.caller] -= response.size_bytes
        else:
            del self._keys_by_caller[key.caller], self._bytes_by_caller[key.caller]
