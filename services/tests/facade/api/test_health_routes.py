"""Status and reasons of the health routes, by the state of the facade and the credential of the client."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.asgi_client import AsgiClient
from tests.support.facade_without_models import settings_of
from thale._version import __version__
from thale.facade.app import create_app
from thale.facade.status.health import Readiness

MISSING = ("plate-seg 1.0.0 has no ready worker",)
PUBLIC = ("a stable model has no ready worker",)


class UnknownCaller:
    """Authenticator that knows no credential."""


def client_of(folder: Path, readiness: Readiness, *, is_live: bool = True, authenticator: object = None) -> AsgiClient:
    async def current() -> Readiness:
        return readiness

    app = create_app(settings_of(folder))
    app.state.authenticator = authenticator
    app.state.health = SimpleNamespace(readiness=current, is_live=lambda: is_live)
    return AsgiClient(app, "http://127.0.0.1:8080")


@pytest.mark.parametrize(("is_live", "status", "body"), [(True, 200, "live"), (False, 503, "stuck")])
def test_liveness_is_503_if_only_a_restart_helps(tmp_path: Path, is_live: bool, status: int, body: str) -> None:
    response = client_of(tmp_path, Readiness(), is_live=is_live).get("/health/live")
    assert (response.status_code, response.json()) == (status, {"status": body})


def test_readiness_is_200_without_reasons(tmp_path: Path) -> None:
    response = client_of(tmp_path, Readiness()).get("/health/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ready", "missing": []})


@pytest.mark.parametrize(("authenticator", "missing"), [(None, MISSING), (UnknownCaller(), PUBLIC)])
def test_readiness_is_503_with_the_callers_reasons(
    tmp_path: Path, authenticator: object, missing: tuple[str, ...]
) -> None:
    readiness = Readiness(missing=MISSING, public_reasons=PUBLIC)
    response = client_of(tmp_path, readiness, authenticator=authenticator).get("/health/ready")
    assert (response.status_code, response.json()) == (503, {"status": "not ready", "missing": [*missing]})


def test_index_and_problems_describe_the_server(tmp_path: Path) -> None:
    client = client_of(tmp_path, Readiness())
    index = client.get("/", {"Accept": "application/json"})
    links: Mapping[str, str] = index.json()
    assert (links["version"], links["ready"], index.headers["vary"]) == (__version__, "/health/ready", "Accept")
    assert client.get("/problems/scale").json()["status"] == 422
    unknown = client.get("/problems/none")
    assert unknown.status_code == 422
    assert "unknown problem 'none'" in unknown.json()["detail"]
