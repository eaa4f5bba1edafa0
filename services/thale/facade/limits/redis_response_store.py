"""Stored responses that all replicas share, in Redis or Valkey, with the responses in process as the fallback."""

from redis.asyncio import Redis

from thale.facade.limits.idempotency_key import ScopedKey
from thale.facade.limits.response_store import (
    MAX_AGE_S,
    MAX_CALLER_BYTES,
    Beginning,
    ResponseStore,
    StoredResponse,
)
from thale.facade.limits.store_circuit import StoreCircuit

_SAVE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local size, max_age_ms, max_bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local function remove(member)
  local bytes, key = string.match(member, '^(%d+) (.*)$')
  redis.call('DECRBY', KEYS[3], bytes)
  redis.call('ZREM', KEYS[2], member)
  return key
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', time[1] - max_age_ms / 1000)) do
  remove(member) -- the response has expired, and its key may belong to another request by now
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', max_age_ms)
redis.call('ZADD', KEYS[2], time[1], size .. ' ' .. KEYS[1])
local total = redis.call('INCRBY', KEYS[3], size)
while total > max_bytes do
  local oldest = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  if not oldest then break end
  redis.call('DEL', remove(oldest))
  total = tonumber(redis.call('GET', KEYS[3]))
end
redis.call('PEXPIRE', KEYS[2], max_age_ms)
redis.call('PEXPIRE', KEYS[3], max_age_ms)
return 1
"""
"""KEYS: response, index of the caller's responses by time, their size. ARGV: token, response, its size, maximum age in
ms, maximum size. The keys in the index share the hash slot of the caller."""

_ABANDON = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


class RedisResponseStore:
    """Stored responses in Redis. Implements `ResponseStore`. Its methods raise `STORE_FAILURES`."""

    def __init__(self, client: "Redis", hold_s: float, max_caller_bytes: int = MAX_CALLER_BYTES) -> None:
        """Register the scripts. No request is sent yet.

        Args:
            client: Client of the Redis or Valkey.
            hold_s: Time after which a key that a killed facade holds is free again, in seconds.
            max_caller_bytes: Maximum size of the stored responses of one caller.
        """
        self._client = client
        self._hold_ms = int(hold_s * 1000)
        self._max_caller_bytes = max_caller_bytes
        self._save = client.register_script(_SAVE)
        self._abandon = client.register_script(_ABANDON)

    async def begin(self, key: ScopedKey, token: str) -> Beginning:
        """Hold a key for a request, unless another one holds it or has a stored response."""
        held = await self._client.set(_response_key(key), token, nx=True, get=True, px=self._hold_ms)
        if not isinstance(held, bytes):
            return "new"
        return StoredResponse.from_bytes(held) if b"\n" in held else "running"

    async def save(self, key: ScopedKey, token: str, response: StoredResponse) -> bool:
        """Store the response of the request that holds the key. Remove the oldest responses above the maximum size."""
        arguments: list[bytes | str | int] = [
            token,
            response.to_bytes(),
            response.size_bytes,
            MAX_AGE_S * 1000,
            self._max_caller_bytes,
        ]
        prefix = _prefix(key)
        keys = [_response_key(key), f"{prefix}:index", f"{prefix}:bytes"]
        return bool(await self._save(keys=keys, args=arguments))

    async def abandon(self, key: ScopedKey, token: str) -> bool:
        """Release a key without a response. Return False if the request does not hold it."""
        return bool(await self._abandon(keys=[_response_key(key)], args=[token]))


class FallbackResponseStore:
    """Stored responses that prefer the shared store. Implements `ResponseStore` and raises no error of it.

    While the shared store is unavailable, a key is known to one replica only.
    """

    def __init__(self, shared: ResponseStore, fallback: ResponseStore, circuit: StoreCircuit) -> None:
        self._shared = shared
        self._fallback = fallback
        self._circuit = circuit

    async def begin(self, key: ScopedKey, token: str) -> Beginning:
        """Hold a key for a request, unless another one holds it or has a stored response."""
        return await self._circuit.call(lambda: self._shared.begin(key, token)) or await self._fallback.begin(
            key, token
        )

    async def save(self, key: ScopedKey, token: str, response: StoredResponse) -> bool:
        """Store the response in each store in which the request holds the key.

        It holds the key in both if a call of the shared store timed out, but was executed.
        """
        is_held_here = await self._fallback.save(key, token, response)
        return bool(await self._circuit.call(lambda: self._shared.save(key, token, response))) or is_held_here

    async def abandon(self, key: ScopedKey, token: str) -> bool:
        """Release a key in both stores: a call that timed out may have reached the shared store."""
        is_held_here = await self._fallback.abandon(key, token)
        return bool(await self._circuit.call(lambda: self._shared.abandon(key, token))) or is_held_here


def _prefix(key: ScopedKey) -> str:
    return f"thale:idempotency:{{{key.caller}}}"


def _response_key(key: ScopedKey) -> str:
    return f"{_prefix(key)}:{key.key}"
