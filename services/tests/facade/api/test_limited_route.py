"""Routes with caller limits: 429 with Retry-After, RateLimit fields, budgets and refunds."""

import pytest

from tests.support.limited_server import LimitedServer
from thale.errors import DeadlineExceededError, OverloadedError, ParameterError
from thale.facade.limits import policy
from thale.facade.limits.policy import SECOND_US
from thale.telemetry import labels, metrics


@pytest.fixture
def server() -> LimitedServer:
    return LimitedServer()


def rest(response: object) -> dict[str, str]:
    """Return the parameters of each item of the field RateLimit, by limit."""
    items = response.headers["ratelimit"].split(", ")
    return {name.strip('"'): rest for name, _, rest in (item.partition(";") for item in items)}


def test_route_returns_429_with_retry_after(server: LimitedServer) -> None:
    assert [server.post().status_code for _ in range(5)] == [200] * 4 + [429]
    rejected = server.post()
    assert rejected.headers["retry-after"] == "2"
    assert rejected.headers["content-type"] == "application/problem+json"
    assert rejected.json()["type"] == "/problems/rate-limited"
    assert "rate" in rejected.json()["detail"]
    assert rest(rejected)["rate"] == "r=0;t=8"
    server.now_us += 2 * SECOND_US
    assert server.post().status_code == 200


def test_route_states_limits_and_their_rest(server: LimitedServer) -> None:
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


def test_route_limits_each_caller_alone(server: LimitedServer) -> None:
    for _ in range(5):
        server.post("a")
    assert server.post("a").status_code == 429
    assert server.post("b").status_code == 200


def test_route_has_no_limits_for_the_local_caller(server: LimitedServer) -> None:
    responses = [server.client.post("/v1/work") for _ in range(30)]
    assert {response.status_code for response in responses} == {200}
    assert "ratelimit" not in responses[0].headers
    assert len(server.store) == 0


def test_route_does_not_limit_reads(server: LimitedServer) -> None:
    responses = [server.client.get("/v1/work", headers={"X-Caller": "a"}) for _ in range(30)]
    assert {response.status_code for response in responses} == {200}


def test_route_limits_concurrent_requests(server: LimitedServer) -> None:
    statuses: list[int] = []

    def post_again() -> None:
        server.inner = (lambda: statuses.append(server.post().status_code)) if len(statuses) < 1 else None
        statuses.append(server.post().status_code)

    server.inner = post_again
    assert server.post().status_code == 200
    assert statuses == [429, 200]  # the third request, within the second, within the first
    assert server.post().status_code == 200


@pytest.mark.parametrize("error", [OverloadedError(3, 7), RuntimeError("unexpected")])
def test_failed_request_does_not_consume_the_budget(server: LimitedServer, error: Exception) -> None:
    server.error, server.pixels = error, 15_000_000
    failed = server.post()
    assert failed.status_code in (500, 503)
    if failed.status_code == 503:  # an unexpected error has no fields
        assert rest(failed)["daily-megapixels"] == "r=20;t=3600"
    server.error, server.pixels = None, 0
    assert rest(server.post())["daily-requests"] == "r=9;t=3600"
    assert rest(server.post())["daily-megapixels"] == "r=20;t=3600"


def test_rejected_image_is_not_refunded(server: LimitedServer) -> None:
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


def test_passed_deadline_consumes_the_megapixels(server: LimitedServer) -> None:
    server.error, server.pixels = DeadlineExceededError("late"), 15_000_000
    assert server.post().status_code == 504
    server.error, server.pixels = None, 0
    response = server.post()
    assert (rest(response)["daily-requests"], rest(response)["daily-megapixels"]) == ("r=9;t=3600", "r=5;t=3600")


def test_image_above_the_budget_is_rejected_and_not_charged(server: LimitedServer) -> None:
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
    assert labels.LIMIT.values == policy.LIMITS


def test_rejected_requests_are_counted_by_limit() -> None:
    before = metrics.LIMITED.labels("rate")._value.get()
    server = LimitedServer()
    for _ in range(6):
        server.post()
    assert metrics.LIMITED.labels("rate")._value.get() == before + 2


def test_openapi_documents_429_of_limited_routes(server: LimitedServer) -> None:
    operations = server.app.openapi()["paths"]["/v1/work"]
    assert set(operations["post"]["responses"]["429"]["headers"]) == {"Retry-After", "RateLimit-Policy", "RateLimit"}
    assert "429" not in operations["get"]["responses"]
