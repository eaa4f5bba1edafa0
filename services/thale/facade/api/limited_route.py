"""Route class that applies the limits of a caller to POST requests, before a byte of the body is read."""

import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from thale.auth.principal import Principal
from thale.facade.api import problems
from thale.facade.api.idempotent_request import (
    IdempotentRequest,
    StoredResponseFound,
    begin_idempotent_request,
)
from thale.facade.limits.caller_limiter import CallerLimiter, Reservation
from thale.facade.limits.idempotency_key import IDEMPOTENCY_KEY_FIELD
from thale.facade.limits.rate_limit_fields import POLICY_FIELD, RATE_LIMIT_FIELD

_FIELDS = {
    "Retry-After": {"description": "Seconds until the limit admits a request.", "schema": {"type": "integer"}},
    POLICY_FIELD: {
        "description": "Limits of the caller: quota, unit, and window in seconds.",
        "schema": {"type": "string"},
    },
    RATE_LIMIT_FIELD: {
        "description": "Remaining quota of each limit, and seconds until the whole quota is available.",
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


_KEY_PARAMETER = {
    "name": IDEMPOTENCY_KEY_FIELD,
    "in": "header",
    "description": "Key of the caller for this request. A retry with the same key and content returns the stored "
    "response and is not charged again. Successful responses are stored for 10 minutes.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


async def _apply_limits(request: Request) -> None:
    """Count the request towards the limits of its caller, and end it if its response is stored.

    Raises:
        RateLimitedError: If a limit is reached.
        StoredResponseFound: If the request is a retry with an idempotency key.
        RequestError: If the idempotency key is in use or belongs to another request.
    """
    limiter: CallerLimiter = request.app.state.caller_limiter
    principal: Principal = request.state.principal
    exchange: _Exchange = request.state.exchange
    exchange.reservation = request.state.stats.reservation = reservation = await limiter.reserve(principal)
    if reservation is not None and (rejection := reservation.rejection) is not None:
        raise rejection
    try:
        exchange.idempotent_request = await begin_idempotent_request(
            request, request.app.state.response_store, principal.id
        )
    except StoredResponseFound:
        if reservation is not None:
            await reservation.finish_replay()
        raise


def _limit_endpoint(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Return an endpoint that applies the limits first. A further dependency of FastAPI takes 0.03 ms more."""

    @functools.wraps(endpoint)
    async def limited_endpoint(request: Request, **values: Any) -> Any:
        await _apply_limits(request)
        return await endpoint(request=request, **values)

    return limited_endpoint


class LimitedRoute(APIRoute):
    """Route whose POST requests count towards the limits of the caller, and may have an idempotency key.

    The limits apply after the dependencies of the route, one of which authenticates the caller, and before its endpoint
    reads the body. Every later response has the remaining quotas.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if "POST" in (options.get("methods") or ()):
            options["responses"] = {**_RESPONSES, **(options.get("responses") or {})}
            endpoint = _limit_endpoint(endpoint)
            options["openapi_extra"] = {**(options.get("openapi_extra") or {}), "parameters": [_KEY_PARAMETER]}
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route, which returns a stored response without calling the endpoint."""
        handle_request = super().get_route_handler()

        async def handle_request_or_replay(request: Request) -> Response:
            try:
                return await handle_request(request)
            except StoredResponseFound as found:
                return found.response()

        return handle_request_or_replay

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and end its reservation."""
        exchange = scope["state"]["exchange"] = _Exchange(receive, send)
        status = None
        try:
            await super().handle(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            raise
        except BaseException:
            status = 500
            raise
        finally:
            await exchange.finish(status)


def _encode_fields(fields: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in fields.items()]


class _Exchange:
    """Messages of one request and its response."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.reservation: Reservation | None = None
        self.idempotent_request: IdempotentRequest | None = None

    async def receive(self) -> Message:
        """Return the next message of the client."""
        message = await self._receive()
        if self.idempotent_request is not None:
            self.idempotent_request.observe_received(message)
        return message

    async def send(self, message: Message) -> None:
        """Send a message to the client, after the counters and the stored response are up to date.

        Otherwise, the lease of this request could reject the next request of the same client.
        """
        if self.idempotent_request is not None:
            await self.idempotent_request.observe_sent(message)
        if message["type"] == "http.response.start" and self.reservation is not None:
            await self.reservation.finish(message["status"])
            message["headers"] = [*message["headers"], *_encode_fields(self.reservation.fields)]
        await self._send(message)

    async def finish(self, status: int | None) -> None:
        """End the request, if no response has ended it."""
        if self.idempotent_request is not None:
            await self.idempotent_request.finish()
        if self.reservation is not None:
            await self.reservation.finish(status)
