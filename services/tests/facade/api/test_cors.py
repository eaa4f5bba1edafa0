"""Cross-origin requests: the allow-list, preflight requests and errors."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.support.asgi_client import AsgiClient
from thale.facade.app import create_app
from thale.facade.settings import FacadeSettings

ORIGIN = "https://lab.example.org"


def client(tmp_path: Path, origins: str) -> AsgiClient:
    """Return a client of the app, without its lifespan: no model server is started."""
    settings = FacadeSettings(release_state_path=tmp_path / "release-state.json", cors_origins=origins)
    return AsgiClient(create_app(settings), "http://127.0.0.1:8080")


def preflight(app: AsgiClient, origin: str, headers: str = "authorization,idempotency-key") -> dict[str, str]:
    request_headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": headers,
    }
    response = app.options("/v1/phenotype", headers=request_headers)
    return {**response.headers, "status": str(response.status_code)}


def test_preflight_of_a_listed_origin_needs_no_credential(tmp_path: Path) -> None:
    headers = preflight(client(tmp_path, f"http://127.0.0.1:5173,{ORIGIN}"), ORIGIN)
    assert headers["status"] == "200"
    assert headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in headers
    assert {"Authorization", "Idempotency-Key"} <= set(headers["access-control-allow-headers"].split(", "))


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://lab.example.org.evil.example"])
def test_preflight_of_another_origin_is_rejected(tmp_path: Path, origin: str) -> None:
    headers = preflight(client(tmp_path, ORIGIN), origin)
    assert headers["status"] == "400"
    assert "access-control-allow-origin" not in headers


def test_cors_is_off_by_default(tmp_path: Path) -> None:
    app = client(tmp_path, "")
    assert preflight(app, ORIGIN)["status"] == "405"
    assert "access-control-allow-origin" not in app.get("/health/live", headers={"Origin": ORIGIN}).headers


@pytest.mark.parametrize(("path", "status"), [("/v1/none", 404), ("/v1/models", 500), ("/", 200)])
def test_every_response_has_the_cors_headers(tmp_path: Path, path: str, status: int) -> None:
    """/v1/models fails unexpectedly, because no lifespan has started."""
    response = client(tmp_path, ORIGIN).get(path, headers={"Origin": ORIGIN})
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == ORIGIN
    exposed = set(response.headers["access-control-expose-headers"].split(", "))
    assert exposed == {"X-Request-Id", "Retry-After", "RateLimit-Policy", "RateLimit", "Idempotent-Replayed"}
    assert response.headers["x-request-id"]
    assert "Origin" in response.headers["vary"]


@pytest.mark.parametrize(
    "origins",
    ["*", "null", "https://*.example.org", "lab.example.org", f"{ORIGIN}/", "https://u:p@a.org", "file:///x"],
)
def test_inexact_origin_is_refused_at_start(tmp_path: Path, origins: str) -> None:
    with pytest.raises(ValidationError, match="origin"):
        FacadeSettings(release_state_path=tmp_path / "state.json", cors_origins=f"{ORIGIN},{origins}")


def test_origins_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("THALE_CORS_ORIGINS", "https://Lab.example.org, http://127.0.0.1:5173")
    settings = FacadeSettings(release_state_path=tmp_path / "state.json")
    assert settings.cors_origins == ("https://lab.example.org", "http://127.0.0.1:5173")
