"""The web page: content negotiation, headers, caching, and the setting that disables it."""

import gzip
from pathlib import Path

import pytest

from tests.support.asgi_client import AsgiClient
from tests.support.facade_without_models import settings_of
from tests.support.fake_entra import AUDIENCE, TENANT
from thale.facade.api import web_page
from thale.facade.app import create_app

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Encoding": "identity"}
SCRIPT = b"export const thale = 1;\n" * 100


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsgiClient:
    files = tmp_path / "web_files"
    (files / "assets").mkdir(parents=True)
    (files / "index.html").write_text("<!doctype html><title>thale</title>")
    (files / "assets" / "index-a1.js").write_bytes(SCRIPT)
    (files / "assets" / "icon-b2.svg").write_text("<svg/>")
    monkeypatch.setattr(web_page, "FILES", files)
    return AsgiClient(create_app(settings_of(tmp_path)))


def test_browser_gets_page_and_other_clients_get_json(client: AsgiClient) -> None:
    page = client.get("/", BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["cache-control"] == "no-cache"
    assert "Accept" in page.headers["vary"]
    for accept in ("*/*", "application/json", "image/png"):
        index = client.get("/", {"Accept": accept})
        assert (index.status_code, index.json()["contract"]) == (200, "/openapi.json")
        assert index.headers["vary"] == "Accept"


def test_page_has_a_strict_content_security_policy(client: AsgiClient) -> None:
    for path in ("/", "/assets/index-a1.js", "/assets/icon-b2.svg"):
        headers = client.get(path, BROWSER).headers
        policy = dict(entry.split(" ", 1) for entry in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.fixture
def entra_client(client: AsgiClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsgiClient:
    (web_page.FILES / "sign-in.html").write_text("<!doctype html><title>sign-in</title>")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://login.example.org:8443/path")
    ids = {"entra_tenant_id": TENANT, "entra_audience": "api", "entra_web_client_id": AUDIENCE}
    return AsgiClient(create_app(settings_of(tmp_path, **ids)))


def test_page_may_call_the_configured_authority(entra_client: AsgiClient, client: AsgiClient) -> None:
    for path in ("/", "/sign-in", "/assets/index-a1.js"):
        response = entra_client.get(path, BROWSER)
        policy = dict(entry.split(" ", 1) for entry in response.headers["content-security-policy"].split("; "))
        assert (response.status_code, policy["connect-src"]) == (200, "'self' https://login.example.org:8443")
        assert (policy["script-src"], policy["form-action"]) == ("'self'", "'none'")
    assert client.get("/sign-in", BROWSER).status_code == 404  # the other server offers no sign-in by Entra ID


def test_sign_in_methods_are_public(entra_client: AsgiClient, client: AsgiClient) -> None:
    assert entra_client.get("/v1/sign-in").json() == {
        "is_required": True,
        "api_key": False,
        "entra": {
            "authority": f"https://login.example.org:8443/path/{TENANT}",
            "client_id": AUDIENCE,
            "scope": "api/.default",
        },
    }
    assert client.get("/v1/sign-in").json() == {"is_required": False, "api_key": False, "entra": None}


@pytest.mark.parametrize(
    ("name", "media_type"), [("index-a1.js", "text/javascript; charset=utf-8"), ("icon-b2.svg", "image/svg+xml")]
)
def test_asset_is_cached_for_ever_with_its_type(client: AsgiClient, name: str, media_type: str) -> None:
    response = client.get(f"/assets/{name}", {"Accept-Encoding": "identity"})
    assert (response.status_code, response.headers["content-type"]) == (200, media_type)
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_large_asset_is_compressed_for_clients_that_accept_it(client: AsgiClient) -> None:
    plain = client.get("/assets/index-a1.js", {"Accept-Encoding": "identity"})
    compressed = client.get("/assets/index-a1.js", {"Accept-Encoding": "gzip, br"})
    assert plain.content == compressed.content == SCRIPT
    assert "content-encoding" not in plain.headers
    assert compressed.headers["content-encoding"] == "gzip"
    assert int(compressed.headers["content-length"]) == len(gzip.compress(SCRIPT, mtime=0))
    assert plain.headers["vary"] == "Accept-Encoding"


def test_head_of_page_and_asset_has_no_body(client: AsgiClient) -> None:
    for path in ("/", "/assets/index-a1.js"):
        head, get = client.head(path, BROWSER), client.get(path, BROWSER)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize("name", ["none.js", "..%2findex.html", "%2e%2e/index.html", "index.html", "<script>"])
def test_unknown_asset_is_a_problem(client: AsgiClient, name: str) -> None:
    response = client.get(f"/assets/{name}")
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
    assert response.headers.get("content-security-policy") is None


def test_disabled_page_serves_only_json(client: AsgiClient, tmp_path: Path) -> None:
    disabled = AsgiClient(create_app(settings_of(tmp_path, web_page=False)))
    assert client.get("/", BROWSER).headers["content-type"].startswith("text/html")
    assert disabled.get("/", BROWSER).json()["name"] == "thale"
    assert disabled.get("/assets/index-a1.js").status_code == 404


def test_page_that_is_not_built_serves_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_page, "FILES", tmp_path / "none")
    assert AsgiClient(create_app(settings_of(tmp_path))).get("/", BROWSER).json()["name"] == "thale"
