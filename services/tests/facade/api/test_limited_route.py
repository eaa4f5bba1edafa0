"""Routes with caller limits: 429 with Retry-After, RateLimit fields, budgets and refunds."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.testclient import TestClient

from thale.auth.principal import LOCAL, Principal
from thale.errors import DeadlineExceededError, OverloadedError, ParameterError, ThaleError
from thale.facade.api import problems
from thale.facade.api.limited_route import LimitedRoute
from thale.facade.api.middleware import RequestContextMiddleware
from thale.facade.limits.caller_limiter import CallerLimiter
from thale.facade.limits.memory_store import MemoryLimitStore
from thale.facade.limits.policy import DAY_US, SECOND_US, CallerLimits
from thale.telemetry import metrics

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


class Server:
    """An app with limited routes, and its client."""

    def __init__(self) -> None:
        self.now_us = START_US
        self.error: Exception | None = None
        self.pixels = 0
        self.inner: Callable[[], object] | None = None
        self.store = MemoryLimitStore(lambda: self.now_us)
        self.app = FastAPI()
        self.app.state.caller_limiter = CallerLimiter(self.store, LIMITS)
        router = APIRouter(route_class=LimitedRoute)
        router.post("/v1/work", dependencies=[Depends(authenticate)])(self.work)
        router.get("/v1/work")(self.read)
        self.app.include_router(router)
        self.app.add_exception_handler(ThaleError, problems.handle_thale_error)
        self.app.add_exception_handler(HTTPException, problems.handle_http_error)
        self.app.add_middleware(RequestContextMiddleware)
        self.client = TestClient(self.app, raise_server_exceptions=False)

    async def work(self, request: Request) -> dict[str, str]:
        if self.inner is not None:
            inner, self.inner = self.inner, None
            inner()
        if self.pixels:
            await request.state.stats.charge_image(SimpleNamespace(width=1000, height=self.pixels // 1000))
        if self.error is not None:
            raise self.error
        return {}

    async def read(self) -> dict[str, str]:
        return {}

    def post(self, caller: str = "a"):
        return self.client.post("/v1/work", headers={"X-Caller": caller})


@pytest.fixture
def server() -> Server:
    return Server()


def rest(response: object) -> dict[str, str]:
    """Return the parameters of each item of the field RateLimit, by limit."""
    items = response.headers["ratelimit"].split(", ")
    return {name.strip('"'): rest for name, _, rest in (item.partition(";") for item in items)}


def test_route_returns_429_with_retry_after(server: Server) -> None:
    assert [server.post().status_code for _ in range(5)] == [200] * 4 + [429]
    rejected = server.post()
    assert rejected.headers["retry-after"] == "2"
    assert rejected.headers["content-type"] == "application/problem+json"
    assert rejected.json()["type"] == "/problems/rate-limited"
    assert "rate" in rejected.json()["detail"]
    assert rest(rejected)["rate"] == "r=0;t=8"
    server.now_us += 2 * SECOND_US
    assert server.post().status_code == 200


def test_route_states_limits_and_their_rest(server: Server) -> None:
    response = server.post()
    assert response.headers["ratelimit-policy"] == (
        '"rate";q=4;w=8, "concurrency";q=2;qu="concurrent-requests", "daily-requests";q=10;w=86400, '
        '"daily-megapixels";q=20;qu="megapixels";w=86400'
    )
    assert rest(response) == {
        "rate": "r=3;t=2",
        "concurrency": "r=1",
        "daily-requests": "r=9;t=3600",
        "daily-megapixels": "r=20;t=3600",
    }


def test_route_limits_each_caller_alone(server: Server) -> None:
    for _ in range(5):
        server.post("a")
    assert server.post("a").status_code == 429
    assert server.post("b").status_code == 200


def test_route_has_no_limits_for_the_local_caller(server: Server) -> None:
    responses = [server.client.post("/v1/work") for _ in range(30)]
    assert {response.status_code for response in responses} == {200}
    assert "ratelimit" not in responses[0].headers
    assert len(server.store) == 0


def test_route_does_not_limit_reads(server: Server) -> None:
    responses = [server.client.get("/v1/work", headers={"X-Caller": "a"}) for _ in range(30)]
    assert {response.status_code for response in responses} == {200}


def test_route_limits_concurrent_requests(server: Server) -> None:
    statuses: list[int] = []

    def post_again() -> None:
        server.inner = (lambda: statuses.append(server.post().status_code)) if len(statuses) < 1 else None
        statuses.append(server.post().status_code)

    server.inner = post_again
    assert server.post().status_code == 200
    assert statuses == [429, 200]  # the third request, within the second, within the first
    assert server.post().status_code == 200


@pytest.mark.parametrize("error", [OverloadedError(3, 7), RuntimeError("unexpected")])
def test_failed_request_does_not_consume_the_budget(server: Server, error: Exception) -> None:
    server.error, server.pixels = error, 15_000_000
    assert server.post().status_code in (500, 503)
    server.error, server.pixels = None, 0
    assert rest(server.post())["daily-requests"] == "r=9;t=3600"
    assert rest(server.post())["daily-megapixels"] == "r=20;t=3600"


def test_rejected_image_is_not_refunded(server: Server) -> None:
    server.error, server.pixels = ParameterError("no"), 15_000_000
    response = server.post()
    assert response.status_code == 422
    assert rest(response)["daily-megapixels"] == "r=5;t=3600"
    server.error, server.pixels = None, 0
    assert rest(server.post()) | {"rate": ""} == {
        "rate": "",
        "concurrency": "r=1",
        "daily-requests": "r=8;t=3600",
        "daily-megapixels": "r=5;t=3600",
    }


def test_passed_deadline_consumes_the_megapixels(server: Server) -> None:
    server.error, server.pixels = DeadlineExceededError("late"), 15_000_000
    assert server.post().status_code == 504
    server.error, server.pixels = None, 0
    response = server.post()
    assert (rest(response)["daily-requests"], rest(response)["daily-megapixels"]) == ("r=9;t=3600", "r=5;t=3600")


def test_image_above_the_budget_is_rejected_and_not_charged(server: Server) -> None:
    server.pixels = 15_000_000
    assert server.post().status_code == 200
    rejected = server.post()
    assert (rejected.status_code, rejected.headers["retry-after"]) == (429, "3600")
    assert "daily-megapixels" in rejected.json()["detail"]
    server.pixels = 5_000_000
    accepted = server.post()
    assert (accepted.status_code, rest(accepted)["daily-requests"]) == (200, "r=8;t=3600")
    assert server.post().status_code == 429  # the budget is used up, before a byte of the body is read
    server.now_us += 3600 * SECOND_US
    assert server.post().status_code == 200


def test_limit_label_lists_the_limits_of_the_policy() -> None:
    from thale.facade.limits.policy import LIMITS as NAMES
    from thale.telemetry import labels

    assert labels.LIMIT.values == NAMES
    before = metrics.LIMITED.labels("rate")._value.get()
    server = Server()
    for _ in range(6):
        server.post()
    assert metrics.LIMITED.labels("rate")._value.get() == before + 2


def test_openapi_documents_429_of_limited_routes(server: Server) -> None:
    operations = server.app.openapi()["paths"]["/v1/work"]
    assert set(operations["post"]["responses"]["429"]["headers"]) == {"Retry-After", "RateLimit-Policy", "RateLimit"}
    assert "429" not in operations["get"]["responses"]
