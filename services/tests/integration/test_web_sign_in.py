"""Sign-in by Entra ID in Debian's Chromium: `web/e2e/signIn.e2e.ts` against an authority that speaks the protocol."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser_tests import REQUIREMENTS, run_browser_tests
from tests.support.facade_without_models import settings_of
from tests.support.fake_entra import AUDIENCE, TENANT, FakeEntra, run_entra
from tests.support.running_facade import running_facade

pytestmark = [pytest.mark.integration, pytest.mark.exclusive, *REQUIREMENTS]


@pytest.fixture
def entra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEntra]:
    with run_entra(tmp_path / "entra") as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.certificate))
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", running.url)
        yield running


def sign_in(folder: Path, entra: FakeEntra, expected: str) -> None:
    """Run the test in the browser."""
    client_ids = {"entra_tenant_id": TENANT, "entra_audience": AUDIENCE, "entra_web_client_id": AUDIENCE}
    with running_facade(settings_of(folder, **client_ids)) as facade:
        entra.sign_ins.redirect_uri = f"{facade.url}/sign-in"
        run_browser_tests("signIn", url=facade.url, timeout_s=200, THALE_AUTHORITY=entra.url, THALE_EXPECTED=expected)


def test_user_signs_in_with_code_and_pkce(tmp_path: Path, entra: FakeEntra) -> None:
    entra.sign_ins.token_lifetime_s = 301  # the library renews a token that expires within five minutes
    sign_in(tmp_path, entra, "tokens")
    assert entra.sign_ins.grants[0] == "authorization_code"
    assert "refresh_token" in entra.sign_ins.grants[1:]
    assert not any("instance" in path for path in entra.requested_paths)


def test_page_shows_the_reason_of_a_refused_sign_in(tmp_path: Path, entra: FakeEntra) -> None:
    entra.sign_ins.denial = "access_denied"
    sign_in(tmp_path, entra, "denied")
    assert entra.sign_ins.grants == []
