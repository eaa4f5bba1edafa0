"""Paths and methods of the API: HEAD, trailing slashes, and no redirects."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.asgi_client import AsgiClient
from tests.support.facade_without_models import settings_of
from tests.support.sample_releases import make_version
from thale.facade.app import create_app
from thale.facade.status.health import Readiness
from thale.schemas import Release, ReleaseState

BEHIND_A_TLS_GATEWAY = {"X-Forwarded-Proto": "https", "Host": "thale.example.org"}


@pytest.fixture
def client(tmp_path: Path) -> AsgiClient:
    return AsgiClient(create_app(settings_of(tmp_path)))


@pytest.mark.parametrize(
    "path", ["/v1/phenotype/", "/v1/models/", "/v2/", "/v2/models/plate-seg/infer/", "/health/live/"]
)
def test_trailing_slash_is_no_redirect(client: AsgiClient, path: str) -> None:
    """A redirect would name http: behind a TLS gateway, the client would send its image again in clear."""
    for response in (client.get(path, BEHIND_A_TLS_GATEWAY), client.post(path, b"image", BEHIND_A_TLS_GATEWAY)):
        assert response.status_code == 404
        assert "location" not in response.headers
        body = response.json()
        assert f"send the request to {path[:-1]}" in body.get("detail", body.get("error"))


@pytest.mark.parametrize("path", ["/", "/v2", "/problems/scale", "/openapi.json", "/problems/none"])
def test_head_equals_get_without_a_body(client: AsgiClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == get.headers[name] or path == "/problems/none"  # a problem has its request id


def test_head_of_a_post_route_is_405(client: AsgiClient) -> None:
    response = client.head("/v1/phenotype")
    assert (response.status_code, response.headers["allow"], response.content) == (405, "POST", b"")


def test_versions_are_listed_in_version_order(tmp_path: Path) -> None:
    versions = {version: make_version(version) for version in ("1.10.0", "1.9.0", "1.0.0")}
    state = ReleaseState(models={"plate-seg": Release(task="segmentation", stable="1.9.0", versions=versions)})

    async def readiness() -> Readiness:
        return Readiness()

    app = create_app(settings_of(tmp_path))
    app.state.authenticator = None
    app.state.pipeline = SimpleNamespace(release_state=lambda: state)
    app.state.health = SimpleNamespace(readiness=readiness)
    client = AsgiClient(app, "http://127.0.0.1:8080")
    ordered = ["1.0.0", "1.9.0", "1.10.0"]
    assert client.get("/v2/models/plate-seg").json()["versions"] == ordered
    [model] = client.get("/v1/models").json()
    assert [version["version"] for version in model["versions"]] == ordered
    assert ", ".join(ordered) in client.get("/v2/models/plate-seg/versions/2.0.0").json()["error"]
