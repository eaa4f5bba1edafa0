"""Request context: request ID, span, one log record and metrics for each request, and 500 for unexpected errors.

The middleware is plain ASGI, so that it does not buffer streams and does not hide disconnects.
"""

import asyncio
import logging
import re
import time
import uuid
from contextlib import AbstractContextManager, nullcontext

from opentelemetry.trace import INVALID_SPAN, Span
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thale.auth.principal import Principal
from thale.errors import ShuttingDownError
from thale.facade.api import problems
from thale.facade.request.stats import RequestStats
from thale.telemetry import logs, metrics, tracing

logger = logging.getLogger(__name__)

REQUEST_ID_HEADER = "X-Request-Id"
_PROBE_PREFIXES = ("/health/", "/v2/health/")
"""Paths of Kubernetes probes, which are sent every few seconds. They get no spans."""
_VALID_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}")
_CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that disconnected. It is recorded in logs and metrics, and never sent."""


class RequestContextMiddleware:
    """Outermost middleware of the app, apart from CORS."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request_id = _request_id(request.headers.getlist(REQUEST_ID_HEADER))
        scope.setdefault("state", {}).update(request_id=request_id, stats=RequestStats())
        token = logs.REQUEST_ID.set(request_id)
        try:
            with _span(request, request_id) as span:
                await self._serve(request, receive, send, span)
        finally:
            logs.REQUEST_ID.reset(token)

    async def _serve(self, request: Request, receive: Receive, send: Send, span: Span) -> None:
        started = time.monotonic()
        status = _CLIENT_CLOSED_REQUEST

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request.state.request_id
            await send(message)

        try:
            await self._app(request.scope, receive, send_with_id)
        except ClientDisconnect:
            tracing.record_problem("client-disconnected")
            logger.info("client disconnected")
        except asyncio.CancelledError:  # the server cancels a request only when its drain timeout has passed
            if status != _CLIENT_CLOSED_REQUEST:
                raise
            await _respond_to_cancelled(request, receive, send_with_id)
        # Isolation boundary between requests: an unexpected error is logged in full, and the client gets a 500.
        except Exception:
            logger.exception("request failed unexpectedly")
            if status != _CLIENT_CLOSED_REQUEST:
                raise
            await problems.internal_error(request)(request.scope, receive, send_with_id)
        finally:
            _record_request(request, span, status, time.monotonic() - started)


async def _respond_to_cancelled(request: Request, receive: Receive, send: Send) -> None:
    """Respond with 503. Another replica or the restarted facade serves the retry."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    problem = problems.to_problem(ShuttingDownError("the server is shutting down: retry the request"))
    await problems.problem_response(request, problem)(request.scope, receive, send)


def _request_id(candidates: list[str]) -> str:
    """Return the client's request ID if it is valid in logs and headers, else a new one."""
    return candidates[0] if len(candidates) == 1 and _VALID_ID.fullmatch(candidates[0]) else uuid.uuid4().hex


def _span(request: Request, request_id: str) -> AbstractContextManager[Span]:
    if request.scope["path"].startswith(_PROBE_PREFIXES):
        return nullcontext(INVALID_SPAN)
    return tracing.request_span(request.method, request.scope["scheme"], request.headers, request_id)


def _record_request(request: Request, span: Span, status: int, seconds: float) -> None:
    stats: RequestStats = request.state.stats
    route = getattr(request.scope.get("route"), "path", "unknown")
    if route != "unknown":
        tracing.set_route(span, request.method, route, request.scope["path"])
    tracing.set_status(span, status)
    metrics.REQUESTS.labels(route, str(status)).inc()
    metrics.REQUEST_SECONDS.labels(route, stats.size_class).observe(seconds, tracing.exemplar())
    level = logging.DEBUG if route.startswith("/health") else logging.INFO
    principal: Principal | None = getattr(request.state, "principal", None)
    fields = {
        "method": request.method,
        "principal": None if principal is None else principal.id,
        "route": route,
        "status": status,
        "seconds": round(seconds, 4),
        "versions": stats.versions,
    }
    logger.log(level, "request served", extra=fields)
