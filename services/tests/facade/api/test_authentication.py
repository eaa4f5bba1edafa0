"""Attacks on the authentication of a running facade with API keys, and on a facade without authentication."""

import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from prometheus_client import REGISTRY

from tests.support import sample_images
from tests.support.facade_without_models import settings_of
from tests.support.running_facade import Facade, Reply, running_facade
from thale.auth.api_key import ApiKey
from thale.auth.key_file import ApiKeyFile
from thale.auth.key_store import create_key, revoke_key
from thale.facade.api import health_routes, v1, v1_series, v1_traits, v2
from thale.telemetry import logs

DAY = timedelta(days=1)
OPEN_PATHS = {
    *("/", "/health/live", "/health/ready", "/problems/{code}", "/v1/sign-in"),
    *("/v2", "/v2/health/live", "/v2/health/ready"),
}
DEADLINE_S = 60
GET_MODELS = "GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


@dataclass(frozen=True)
class Guarded:
    """A facade that requires API keys, and its store."""

    facade: Facade
    store: ApiKeyFile

    def create(self, *scopes: str, lifetime: timedelta = DAY, created: datetime | None = None) -> ApiKey:
        key, _ = create_key(self.store, "lab", frozenset(scopes), lifetime, created or datetime.now(UTC))
        return key

    def wait_for_status(self, key: ApiKey, status: int) -> Reply:
        """Send requests until the facade has read the file."""
        wait_until(lambda: self.get(key).status == status)
        return self.get(key)

    def get(self, key: ApiKey) -> Reply:
        return self.facade.get("/v1/models", Authorization=f"Bearer {key.text}")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    store = ApiKeyFile(folder / "api-keys.json")
    create_key(store, "name-of-the-key", frozenset({"read"}), DAY, datetime.now(UTC))
    with running_facade(settings_of(folder, api_keys_path=folder / "api-keys.json")) as facade:
        yield Guarded(facade, store)


@pytest.fixture(scope="module")
def reader(guarded: Guarded) -> ApiKey:
    key = guarded.create("read")
    guarded.wait_for_status(key, 200)
    return key


def protected_requests() -> Iterator[tuple[str, str]]:
    for route in (
        *v1.router.routes,
        *v1_series.router.routes,
        *v1_traits.router.routes,
        *v2.router.routes,
        *health_routes.router.routes,
    ):
        assert isinstance(route, APIRoute)
        if route.path not in OPEN_PATHS:
            yield next(iter(route.methods)), route.path.format(name="plate-seg", version="1.0.0")


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), [*protected_requests()])
def test_route_rejects_request_without_credential(guarded: Guarded, method: str, path: str) -> None:
    reply = guarded.facade.request(method, f"{path}?mm_per_px=invalid", sample_images.png())
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == 'Bearer realm="thale"'
    if path.startswith("/v2"):
        assert reply.json.keys() == {"error"}
    else:
        assert reply.problem == "unauthenticated"


@pytest.mark.parametrize(
    "path", [*sorted(OPEN_PATHS - {"/problems/{code}"}), "/problems/unauthenticated", "/openapi.json"]
)
def test_open_path_needs_no_credential(guarded: Guarded, path: str) -> None:
    reply = guarded.facade.get(path)
    assert reply.status == (503 if path.endswith("ready") else 200)
    assert b"name-of-the-key" not in reply.body


def test_readiness_has_no_details_without_a_credential(
    guarded: Guarded, reader: ApiKey, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of the model server names its address. The log and callers with `read` get it, other clients do not."""
    detail = "plate-seg 1.0.0 fails on the probe: http://10.1.2.3:8080 refused the connection"
    probe = guarded.facade.app.state.health._probe
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "failures", lambda: [detail])
        wait_until(
            lambda: detail in str(guarded.facade.get("/health/ready", Authorization=f"Bearer {reader.text}").json)
        )
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {reader.text}x"}):
            reply = guarded.facade.get("/health/ready", **header)
            assert reply.json == {
                "status": "not ready",
                "missing": ["no model is released", "the request path fails"],
            }
    assert detail in caplog.text or any(detail in str(record.__dict__) for record in caplog.records)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Token {key}",
        "{key}",
        "Bearer {key} {key}",
        "Bearer {key},{key}",
        "Bearer {key}x",
        "Bearer x{key}",
        "Bearer '{key}'",
        'Bearer "{key}"',
        "Bearer {id}_",
        "Bearer \u00e9{key}",
        "Bearer " + "a" * 20_000,
        "Bearer a.b.c",
        "Bearer thale_",
    ],
)
def test_malformed_credential_is_rejected(guarded: Guarded, reader: ApiKey, header: str) -> None:
    value = header.format(key=reader.text, id=reader.text[:14])
    reply = guarded.facade.get("/v1/models", Authorization=value)
    assert (reply.status, reply.problem) == (401, "unauthenticated")
    assert reply.headers["www-authenticate"] == 'Bearer realm="thale", error="invalid_token"'
    assert reader.text[15:] not in reply.body.decode()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_scheme_is_case_insensitive(guarded: Guarded, reader: ApiKey, scheme: str) -> None:
    assert guarded.facade.get("/v1/models", Authorization=f"{scheme} {reader.text}").status == 200


def test_two_credentials_are_rejected(guarded: Guarded, reader: ApiKey) -> None:
    request = (
        f"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{f'Authorization: Bearer {reader.text}' * 1}\r\n"
    )
    request += "Authorization: Bearer other\r\n\r\n"
    assert send_raw(guarded.facade, request.encode()).startswith(b"HTTP/1.1 401")


def test_huge_header_is_rejected(guarded: Guarded) -> None:
    request = (
        f"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {'a' * 200_000}\r\n\r\n"
    )
    # The facade sends the response at once, and then reads what the client still sends for some seconds.
    assert send_raw(guarded.facade, request.encode(), until=b"}")[:12] == b"HTTP/1.1 431"


def test_credential_in_other_places_is_ignored(guarded: Guarded, reader: ApiKey) -> None:
    for path in (f"/v1/models?api_key={reader.text}", f"/v1/models?access_token={reader.text}"):
        assert guarded.facade.get(path).status == 401
    for headers in ({"X_API_Key": reader.text}, {"Cookie": f"Authorization=Bearer {reader.text}"}):
        assert guarded.facade.get("/v1/models", **headers).status == 401


def test_key_of_another_id_is_rejected(guarded: Guarded, reader: ApiKey) -> None:
    other = guarded.create("read")
    guarded.wait_for_status(other, 200)
    forged = ApiKey.generate()
    assert guarded.get(forged).status == 401
    mixed = reader.text[:14] + other.text[14:]
    assert guarded.facade.get("/v1/models", Authorization=f"Bearer {mixed}").status == 401


def test_expired_key_is_rejected(guarded: Guarded) -> None:
    key = guarded.create("read", created=datetime.now(UTC) - 2 * DAY)
    wait_until(lambda: b"has expired" in guarded.get(key).body)
    assert guarded.get(key).status == 401


def test_revoked_key_is_rejected_after_the_next_read(guarded: Guarded) -> None:
    key = guarded.create("read")
    guarded.wait_for_status(key, 200)
    revoke_key(guarded.store, key.id, datetime.now(UTC))
    assert "was revoked" in guarded.wait_for_status(key, 401).json["detail"]


def test_missing_scope_is_named(guarded: Guarded, reader: ApiKey) -> None:
    reply = guarded.facade.phenotype(sample_images.png(), Authorization=f"Bearer {reader.text}")
    assert (reply.status, reply.problem) == (403, "forbidden")
    assert "'predict'" in reply.json["detail"]
    assert reply.headers["www-authenticate"].endswith('error="insufficient_scope", scope="predict"')
    infer = guarded.facade.post("/v2/models/plate-seg/infer", b"{}", Authorization=f"Bearer {reader.text}")
    assert infer.status == 403
    assert infer.json.keys() == {"error"}


@pytest.mark.parametrize(
    ("scopes", "can_read", "can_predict"),
    [(["predict"], False, True), (["admin"], True, True), (["read"], True, False)],
)
def test_scopes_grant_their_routes(guarded: Guarded, scopes: list[str], can_read: bool, can_predict: bool) -> None:
    key = guarded.create(*scopes)
    guarded.wait_for_status(key, 200 if can_read else 403)
    reply = guarded.facade.phenotype(sample_images.png(), Authorization=f"Bearer {key.text}")
    assert (reply.status != 403) == can_predict


def test_body_is_not_read_without_credential(guarded: Guarded) -> None:
    request = b"POST /v1/phenotype HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\nExpect: 100-continue\r\n\r\n"
    assert send_raw(guarded.facade, request, until=b"\r\n").startswith(b"HTTP/1.1 401")


def test_unreadable_file_keeps_the_last_known_keys(guarded: Guarded, reader: ApiKey) -> None:
    path = guarded.store._path
    path.chmod(0o644)
    try:
        time.sleep(1.5)
        assert guarded.get(reader).status == 200
    finally:
        path.chmod(0o600)


def test_logs_have_the_principal_and_no_credential(
    guarded: Guarded, reader: ApiKey, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        guarded.get(reader)
        guarded.facade.get("/v1/models", Authorization=f"Bearer {reader.text}x")
        guarded.facade.get(f"/v1/models?api_key={reader.text}")
        # A line follows its response, so that of an earlier request may come first.
        wait_until(lambda: served_principals(caplog)[-3:] == [f"key:{reader.id}", None, None])
    lines = [logs.JsonFormatter().format(record) for record in caplog.records if record.name.startswith("thale")]
    assert not any(reader.text[15:] in line for line in lines)


def test_metrics_count_methods_and_outcomes(guarded: Guarded, reader: ApiKey) -> None:
    def count(method: str, outcome: str) -> float:
        labels = {"method": method, "outcome": outcome}
        return REGISTRY.get_sample_value("thale_facade_authentications_total", labels) or 0.0

    calls: dict[tuple[str, str], Callable[[], object]] = {
        ("api_key", "ok"): lambda: guarded.get(reader),
        ("api_key", "unknown"): lambda: guarded.get(ApiKey.generate()),
        ("api_key", "malformed"): lambda: guarded.facade.get("/v1/models", Authorization="Bearer thale_x"),
        ("none", "missing"): lambda: guarded.facade.get("/v1/models"),
        ("token", "unsupported"): lambda: guarded.facade.get("/v1/models", Authorization="Bearer a.b.c"),
        ("api_key", "forbidden"): lambda: guarded.facade.phenotype(b"x", Authorization=f"Bearer {reader.text}"),
    }
    for labels, call in calls.items():
        before = count(*labels)
        call()
        assert count(*labels) == before + 1, labels


def test_openapi_declares_the_security_of_each_route(guarded: Guarded) -> None:
    document = guarded.facade.get("/openapi.json").json
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path, item in document["paths"].items():
        for operation in item.values():
            assert ("security" in operation) == (path not in OPEN_PATHS), path
    assert document["paths"]["/v1/phenotype"]["post"]["security"] == [{"bearer": ["predict"]}]


def test_facade_without_keys_rejects_requests_until_one_exists(tmp_path: Path) -> None:
    path = tmp_path / "api-keys.json"
    with running_facade(settings_of(tmp_path, api_keys_path=path)) as facade:
        guarded = Guarded(facade, ApiKeyFile(path))
        reply = guarded.get(ApiKey.generate())
        assert (reply.status, reply.problem) == (503, "authentication-unavailable")
        assert reply.headers["retry-after"]
        guarded.wait_for_status(guarded.create("read"), 200)


@pytest.fixture(scope="module")
def local_facade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facade]:
    with running_facade(settings_of(tmp_path_factory.mktemp("local"))) as facade:
        yield facade


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:8080", "[::1]:8080", "127.1.2.3", "app.localhost", "LOCALHOST."]
)
def test_loopback_host_needs_no_credential(local_facade: Facade, host: str) -> None:
    assert local_facade.get("/v1/models", Host=host).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "192.168.0.7", "0.0.0.0:8080", "", "[::1", "a@b@"],
)
def test_foreign_host_is_rejected_without_authentication(local_facade: Facade, host: str) -> None:
    reply = local_facade.get("/v1/models", Host=host)
    assert (reply.status, reply.problem) == (403, "forbidden")
    assert "Host" in reply.json["detail"]
    assert "www-authenticate" not in reply.headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:1", "https://127.0.0.1:{port}", "http://127.0.0.1", ""]
)
def test_foreign_origin_is_rejected_without_authentication(local_facade: Facade, origin: str) -> None:
    reply = local_facade.phenotype(b"x", Origin=origin.format(port=local_facade.port))
    assert (reply.status, reply.problem) == (403, "forbidden")
    infer = local_facade.post("/v2/models/plate-seg/infer", b"{}", Origin=origin.format(port=local_facade.port))
    assert infer.status == 403


def test_allowed_origin_is_accepted_without_authentication(tmp_path: Path) -> None:
    with running_facade(settings_of(tmp_path, cors_origins=["https://lab.example"])) as facade:
        assert facade.get("/v1/models", Origin="https://lab.example").status == 200
        assert facade.get("/v1/models", Origin="https://other.example").status == 403


def test_own_origin_is_accepted_without_authentication(local_facade: Facade) -> None:
    assert local_facade.get("/v1/models", Origin=f"http://127.0.0.1:{local_facade.port}").status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "facade.lab.example"])
def test_settings_reject_open_host_without_authentication(tmp_path: Path, host: str) -> None:
    with pytest.raises(ValueError, match="without authentication"):
        settings_of(tmp_path, host=host)
    settings_of(tmp_path, host=host, api_keys_path=tmp_path / "api-keys.json")


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def served_principals(caplog: pytest.LogCaptureFixture) -> list[str | None]:
    """Return the callers of the served requests, by the log."""
    records = [record for record in list(caplog.records) if record.getMessage() == "request served"]
    return [json.loads(logs.JsonFormatter().format(record))["principal"] for record in records]


def send_raw(facade: Facade, request: bytes, until: bytes | None = None) -> bytes:
    """Send bytes, and return the response up to `until` or to the end of the connection."""
    with socket.create_connection(("127.0.0.1", facade.port), timeout=DEADLINE_S) as connection:
        connection.sendall(request)
        received = b""
        while until is None or until not in received:
            try:
                chunk = connection.recv(65536)
            except ConnectionResetError:
                break
            if not chunk:
                break
            received += chunk
        return received
