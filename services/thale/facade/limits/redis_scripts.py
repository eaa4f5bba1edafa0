"""Lua scripts of the shared limit store: the algorithm of `memory_store`, with allowances of replicas.

Numbers in replies and keys are integers below 2**53, which Lua 5.1 keeps exactly. `%.0f` writes them without an
exponent. The time is the server's, so that all replicas share one clock.
"""

_TIME = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local day_us = 86400000000
local day = math.floor(now / day_us)
local function text(number) return string.format('%.0f', number) end
local function load(key)
  local fields = redis.call('HMGET', key, 'tat', 'day', 'requests', 'pixels')
  local state = {}
  for index = 1, 4 do state[index] = tonumber(fields[index] or 0) or 0 end
  if state[2] ~= day then state[2], state[3], state[4] = day, 0, 0 end
  return state
end
local function save(key, state, ttl_us)
  redis.call('HSET', key, 'tat', text(state[1]), 'day', text(state[2]), 'requests', text(state[3]),
    'pixels', text(state[4]))
  redis.call('PEXPIRE', key, text(math.ceil(ttl_us / 1000)))
end
"""

ACQUIRE = (
    _TIME
    + """
local interval, burst, concurrency = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local daily_requests, daily_pixels, lease_us = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local lease, share = ARGV[7], tonumber(ARGV[9])
local refill, latest = interval * burst, now + lease_us
local state = load(KEYS[1])
local tat = math.min(math.max(state[1] - interval * tonumber(ARGV[13]), now), now + refill)
if text(state[2]) == ARGV[12] then
  state[3], state[4] = math.max(0, state[3] - tonumber(ARGV[13])), math.max(0, state[4] - tonumber(ARGV[14]))
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', text(now))
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. text(latest), '+inf')) do
  redis.call('ZADD', KEYS[2], text(latest), member)
end
local running = redis.call('ZCARD', KEYS[2])
local late = tat + interval - (now + refill)
local exceeded, retry_after = 0, 0
if state[3] >= daily_requests then exceeded, retry_after = 3, day_us - now % day_us
elseif state[4] >= daily_pixels then exceeded, retry_after = 4, day_us - now % day_us
elseif lease ~= '' and running >= concurrency then exceeded, retry_after = 2, tonumber(ARGV[8])
elseif late > 0 then exceeded, retry_after = 1, late
elseif lease ~= '' then
  tat, running, state[3] = tat + interval, running + 1, state[3] + 1
  redis.call('ZADD', KEYS[2], text(latest), lease)
  redis.call('PEXPIRE', KEYS[2], text(math.ceil(lease_us / 1000) + 60000)) -- leases expire before their key
end
local requests, pixels = 0, 0
if exceeded == 0 then
  local tokens = math.floor((now + refill - tat) / interval)
  requests = math.min(tonumber(ARGV[10]), math.floor(math.min(tokens, daily_requests - state[3]) / share))
  pixels = math.min(tonumber(ARGV[11]), math.floor((daily_pixels - state[4]) / share))
  tat, state[3], state[4] = tat + interval * requests, state[3] + requests, state[4] + pixels
end
state[1] = tat
save(KEYS[1], state, day_us + refill)
return {exceeded, retry_after, now, math.floor((now + refill - tat) / interval), tat - now,
  math.max(0, concurrency - running), math.max(0, daily_requests - state[3]), math.max(0, daily_pixels - state[4]),
  requests, pixels}
"""
)
"""KEYS: counters, leases. ARGV: interval, burst, concurrency, daily requests, daily pixels, lease time, lease, retry
time of the concurrency limit, share, requests and pixels of the wanted allowance, day, requests and pixels of a
returned one. Without a lease, only allowances are exchanged. Returns the fields of `Decision`, with the limit as its
number in `LIMITS`, or 0, and the requests and pixels of the new allowance."""

CHARGE = (
    _TIME
    + """
local pixels, daily_pixels, wanted, share = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5])
local state = load(KEYS[1])
local admitted, extra = 0, 0
if state[4] + pixels <= daily_pixels then
  admitted = 1
  extra = math.min(wanted, math.floor((daily_pixels - state[4] - pixels) / share))
  state[4] = state[4] + pixels + extra
  save(KEYS[1], state, day_us + tonumber(ARGV[3]))
end
return {admitted, math.max(0, daily_pixels - state[4]), now, extra}
"""
)
"""KEYS: counters. ARGV: pixels, daily pixels, refill time, wanted pixels of the allowance, share. Returns the fields of
`Charge`, and the pixels of the allowance."""

RELEASE = (
    _TIME
    + """
local released = 0
for index = 5, #ARGV do released = released + redis.call('ZREM', KEYS[2], ARGV[index]) end
if #ARGV >= 5 and released == 0 then return 0 end
if redis.call('EXISTS', KEYS[1]) == 0 then return released end
local state = load(KEYS[1])
redis.call('HSET', KEYS[1], 'tat', text(math.max(0, state[1] - tonumber(ARGV[4]))))
if text(state[2]) == ARGV[1] then
  redis.call('HSET', KEYS[1], 'day', text(state[2]), 'requests', text(math.max(0, state[3] - tonumber(ARGV[2]))),
    'pixels', text(math.max(0, state[4] - tonumber(ARGV[3]))))
end
return released
"""
)
"""KEYS: counters, leases. ARGV: day of the refund, requests, pixels, time of the returned tokens, leases."""
