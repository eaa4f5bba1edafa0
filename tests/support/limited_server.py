"""A small app with routes that have caller limits, and a caller from the header X-Caller. No model server."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from fastapi import APIRouter, Depends, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tests.support.asgi_client import AsgiClient
from thale.auth.principal import LOCAL, Principal
from thale.errors import ThaleError
from thale.facade.admission.controller import AdmissionController
from thale.facade.api import problems
from thale.facade.api.limited_route import LimitedRoute
from thale.facade.api.middleware import RequestContextMiddleware
from thale.facade.limits.caller_limiter import CallerLimiter
from thale.facade.limits.memory_store import MemoryLimitStore
from thale.facade.limits.policy import DAY_US, SECOND_US, CallerLimits
from thale.facade.limits.response_store import MemoryResponseStore
from thale.facade.settings import FacadeSettings

START_US = 20_000 * DAY_US + 23 * 3600 * SECOND_US
LIMITS = CallerLimits(
    interval_us=2 * SECOND_US,
    burst=4,
    concurrency=2,
    daily_requests=10,
    daily_pixels=20_000_000,
    lease_us=60 * SECOND_US,
)


def authenticate(request: Request) -> None:
    """Take the principal from the header X-Caller."""
    caller = request.headers.get("x-caller")
    request.state.principal = Principal(f"key:{caller}", caller, frozenset({"predict"})) if caller else LOCAL


class LimitedServer:
    """An app with limited routes, and its client."""

    def __init__(self) -> None:
        self.now_us = START_US
        self.error: Exception | None = None
        self.response = b"{}"
        self.is_body_read = True
        self.served: list[bytes] = []
        self.pixels = 0
        self.inner: Callable[[], object] | None = None
        self.store = MemoryLimitStore(lambda: self.now_us)
        self.app = FastAPI()
        self.responses = MemoryResponseStore(lambda: self.now_us / SECOND_US)
        self.app.state.response_store = self.responses
        settings = FacadeSettings(release_state_path=Path("release-state.json"), max_body_bytes=100_000)
        self.app.state.settings = settings
        self.app.state.pipeline = SimpleNamespace(admission=AdmissionController(settings))
        self.app.state.caller_limiter = CallerLimiter(self.store, LIMITS)
        router = APIRouter(route_class=LimitedRoute)
        router.post("/v1/work", dependencies=[Depends(authenticate)])(self.work)
        router.get("/v1/work")(self.read)
        self.app.include_router(router)
        self.app.add_exception_handler(ThaleError, problems.handle_thale_error)
        self.app.add_exception_handler(HTTPException, problems.handle_http_error)
        self.app.add_middleware(RequestContextMiddleware)
        self.client = AsgiClient(self.app)

    async def work(self, request: Request) -> Response:
        body = await request.body() if self.is_body_read else b""
        self.served.append(body)
        if self.inner is not None:
            inner, self.inner = self.inner, None
            inner()
        if self.pixels:
            await request.state.stats.charge_image(SimpleNamespace(width=1000, height=self.pixels // 1000))
        if self.error is not None:
            raise self.error
        return Response(self.response, media_type="application/json", headers={"Vary": "Accept"})

    async def read(self) -> dict[str, str]:
        return {}

    def post(self, caller: str = "a", body: bytes = b"", query: str = "", **headers: str):
        """Send a request. Underscores in the header names become hyphens."""
        request_headers = {"X-Caller": caller} | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"/v1/work?{query}", content=body, headers=request_headers)
