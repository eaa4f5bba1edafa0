"""RateLimit-Policy and RateLimit, the response fields of draft-ietf-httpapi-ratelimit-headers-10."""

import math

from thale.facade.limits.policy import DAY_US, PIXELS_PER_MEGAPIXEL, SECOND_US, CallerLimits, Decision

POLICY_FIELD = "RateLimit-Policy"
RATE_LIMIT_FIELD = "RateLimit"
_DAY_S = DAY_US // SECOND_US


def format_policy(limits: CallerLimits) -> str:
    """Return the value of RateLimit-Policy: the quota `q` of each limit, its unit `qu` and its window `w` in seconds.

    The unit is requests by default.
    """
    return ", ".join(
        (
            f'"rate";q={limits.burst};w={seconds(limits.refill_us)}',
            f'"concurrency";q={limits.concurrency};qu="concurrent-requests"',
            f'"daily-requests";q={limits.daily_requests};w={_DAY_S}',
            f'"daily-megapixels";q={limits.daily_pixels // PIXELS_PER_MEGAPIXEL};qu="megapixels";w={_DAY_S}',
        )
    )


def format_rate_limit(decision: Decision) -> str:
    """Return the value of RateLimit: the remaining quota `r`, and the seconds `t` until the quota is full again."""
    day_s = seconds(decision.day_ends_in_us)
    return ", ".join(
        (
            f'"rate";r={decision.tokens};t={seconds(decision.refilled_in_us, minimum=0)}',
            f'"concurrency";r={decision.slots}',
            f'"daily-requests";r={decision.requests};t={day_s}',
            f'"daily-megapixels";r={decision.pixels // PIXELS_PER_MEGAPIXEL};t={day_s}',
        )
    )


def seconds(time_us: int, minimum: int = 1) -> int:
    """Return whole seconds, rounded up: the limit admits a request after them."""
    return max(minimum, math.ceil(time_us / SECOND_US))
