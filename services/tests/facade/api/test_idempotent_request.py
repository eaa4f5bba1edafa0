"""Idempotency keys: retries, other content, concurrent retries, other callers, failures and bounds."""

import pytest
from prometheus_client import REGISTRY

from tests.support.limited_server import LimitedServer
from thale.errors import OverloadedError, ParameterError
from thale.facade.api import idempotent_request
from thale.facade.limits.policy import SECOND_US
from thale.facade.limits.response_store import MAX_AGE_S


@pytest.fixture
def server() -> LimitedServer:
    return LimitedServer()


def test_retry_returns_the_stored_response(server: LimitedServer) -> None:
    server.response = b'{"plants": 3}'
    first = server.post(body=b"image", Idempotency_Key='"k-1"')
    server.response = b'{"plants": 4}'
    retry = server.post(body=b"image", Idempotency_Key="k-1")
    assert (retry.status_code, retry.content) == (200, b'{"plants": 3}')
    assert len(server.served) == 1
    assert "idempotent-replayed" not in first.headers
    assert retry.headers["idempotent-replayed"] == "true"
    assert (retry.headers["content-type"], retry.headers["vary"]) == ("application/json", "Accept")
    assert retry.headers["x-request-id"] != first.headers["x-request-id"]


def test_retry_is_not_charged(server: LimitedServer) -> None:
    server.pixels = 15_000_000
    for _ in range(3):
        assert server.post(body=b"image", Idempotency_Key="k-1").status_code == 200
    server.pixels = 0
    following = server.post(body=b"image")
    assert '"daily-requests";r=8' in following.headers["ratelimit"]
    assert '"daily-megapixels";r=5' in following.headers["ratelimit"]


@pytest.mark.parametrize(
    "other", [{"body": b"other"}, {"query": "page=1"}, {"Accept": "image/png"}, {"Content_Type": "image/png"}]
)
def test_key_of_another_request_is_rejected(server: LimitedServer, other: dict) -> None:
    request = {"body": b"image", "query": "page=0", "Accept": "*/*", "Content_Type": "image/jpeg"}
    server.post(**request, Idempotency_Key="k-1")
    reused = server.post(**{**request, **other}, Idempotency_Key="k-1")
    assert (reused.status_code, reused.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert len(server.served) == 1


def test_concurrent_retry_gets_409(server: LimitedServer) -> None:
    retries = []
    server.inner = lambda: retries.append(server.post(body=b"image", Idempotency_Key="k-1"))
    assert server.post(body=b"image", Idempotency_Key="k-1").status_code == 200
    assert (retries[0].status_code, retries[0].headers["retry-after"]) == (409, "2")
    assert retries[0].json()["type"] == "/problems/idempotency-key-in-use"
    assert server.post(body=b"image", Idempotency_Key="k-1").headers["idempotent-replayed"] == "true"


def idempotent_requests(outcome: str) -> float:
    return REGISTRY.get_sample_value("thale_facade_idempotent_requests_total", {"outcome": outcome}) or 0.0


def test_requests_with_a_key_are_counted_by_outcome(server: LimitedServer) -> None:
    outcomes = ("started", "replayed", "in_use", "reused")
    before = [idempotent_requests(outcome) for outcome in outcomes]
    server.post(body=b"image", Idempotency_Key="k-1")
    server.post(body=b"image", Idempotency_Key="k-1")
    server.post(body=b"other", Idempotency_Key="k-1")
    server.now_us += 10 * SECOND_US  # the limit of the rate
    server.inner = lambda: server.post(body=b"image", Idempotency_Key="k-2")
    server.post(body=b"image", Idempotency_Key="k-2")
    after = [idempotent_requests(outcome) for outcome in outcomes]
    assert [now - earlier for now, earlier in zip(after, before, strict=True)] == [2, 1, 1, 1]


def test_keys_of_two_callers_do_not_collide(server: LimitedServer) -> None:
    server.response = b'"of a"'
    server.post("a", body=b"image", Idempotency_Key="k-1")
    server.response = b'"of b"'
    assert server.post("b", body=b"image", Idempotency_Key="k-1").content == b'"of b"'
    assert server.post("a", body=b"image", Idempotency_Key="k-1").content == b'"of a"'


@pytest.mark.parametrize("error", [OverloadedError(1, 2), ParameterError("no"), RuntimeError("unexpected")])
def test_failure_is_not_stored(server: LimitedServer, error: Exception) -> None:
    server.error = error
    assert server.post(body=b"image", Idempotency_Key="k-1").status_code in (422, 500, 503)
    server.error = None
    retry = server.post(body=b"image", Idempotency_Key="k-1")
    assert (retry.status_code, len(server.served)) == (200, 2)
    assert "idempotent-replayed" not in retry.headers


def test_rejected_request_does_not_hold_its_key(server: LimitedServer) -> None:
    for _ in range(4):
        server.post()
    assert server.post(body=b"image", Idempotency_Key="k-1").status_code == 429
    server.now_us += 2 * SECOND_US
    assert server.post(body=b"image", Idempotency_Key="k-1").status_code == 200


def test_response_without_the_whole_body_is_not_stored(server: LimitedServer) -> None:
    """The digest of the body is unknown."""
    server.is_body_read = False
    server.post(body=b"image", Idempotency_Key="k-1")
    server.post(body=b"other", Idempotency_Key="k-1")
    assert len(server.served) == 2
    assert len(server.responses) == 0


def test_large_response_is_not_stored(server: LimitedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotent_request, "MAX_RESPONSE_BYTES", 10)
    server.response = b'"01234567890"'
    server.post(body=b"image", Idempotency_Key="k-1")
    assert server.post(body=b"image", Idempotency_Key="k-1").content == server.response
    assert len(server.served) == 2
    assert len(server.responses) == 0


def test_large_body_of_a_retry_is_rejected(server: LimitedServer) -> None:
    server.post(body=b"image", Idempotency_Key="k-1")
    assert server.post(body=b"x" * 2_000_000, Idempotency_Key="k-1").status_code == 413


def test_response_is_stored_for_ten_minutes(server: LimitedServer) -> None:
    server.post(body=b"image", Idempotency_Key="k-1")
    server.now_us += MAX_AGE_S * SECOND_US
    server.post(body=b"other", Idempotency_Key="k-1")
    assert server.served == [b"image", b"other"]


@pytest.mark.parametrize("key", ["", '""', "a b", 'a"b', "k" * 256, "ä"])
def test_invalid_key_is_rejected(server: LimitedServer, key: str) -> None:
    response = server.client.post("/v1/work", headers=[(b"X-Caller", b"a"), (b"Idempotency-Key", key.encode())])
    assert (response.status_code, response.json()["type"]) == (422, "/problems/parameter")
    assert server.served == []


def test_repeated_key_is_rejected(server: LimitedServer) -> None:
    response = server.client.post("/v1/work", headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")])
    assert response.status_code == 422
