"""Route class that applies the limits of a caller to POST requests, before a byte of the body is read."""

from collections.abc import Callable
from typing import Any

from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send

from thale.auth.principal import LOCAL
from thale.facade.api import problems
from thale.facade.limits.caller_limiter import CallerLimiter
from thale.facade.limits.rate_limit_fields import POLICY_FIELD, RATE_LIMIT_FIELD
from thale.facade.request_stats import RequestStats

_FIELDS = {
    "Retry-After": {"description": "Seconds until the limit admits a request.", "schema": {"type": "integer"}},
    POLICY_FIELD: {
        "description": "Limits of the caller: quota, unit, and window in seconds.",
        "schema": {"type": "string"},
    },
    RATE_LIMIT_FIELD: {
        "description": "Rest of each limit, and seconds until the whole quota is back.",
        "schema": {"type": "string"},
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    429: {
        **problems.PROBLEM_RESPONSES["4XX"],
        "description": "A limit of the caller is reached. Retry after the seconds of Retry-After.",
        "headers": _FIELDS,
    }
}


async def _apply_limits(request: Request) -> None:
    """Count the request towards the limits of its caller.

    Raises:
        RateLimitedError: If a limit is reached.
    """
    limiter: CallerLimiter = request.app.state.caller_limiter
    reservation = await limiter.reserve(getattr(request.state, "principal", LOCAL))
    request.state.stats.reservation = reservation
    if reservation is not None and (rejection := reservation.rejection) is not None:
        raise rejection


class LimitedRoute(APIRoute):
    """Route whose POST requests count towards the limits of the caller. Every response states the rest of them.

    The limits are the last dependency of the route, after the one that authenticates the caller.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if "POST" in (options.get("methods") or ()):
            options["responses"] = {**_RESPONSES, **(options.get("responses") or {})}
            options["dependencies"] = [*(options.get("dependencies") or ()), Depends(_apply_limits)]
        super().__init__(path, endpoint, **options)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and end its reservation."""
        stats: RequestStats = scope["state"]["stats"]

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start" and stats.reservation is not None:
                # Before the response: a client that sends the next request at once must not meet its own lease.
                await stats.reservation.finish(message["status"])
                MutableHeaders(scope=message).update(stats.reservation.fields)
            await send(message)

        status = None
        try:
            await super().handle(scope, receive, send_with_fields)
        except ClientDisconnect:
            raise
        except BaseException:
            status = 500
            raise
        finally:
            if stats.reservation is not None:
                await stats.reservation.finish(status)
