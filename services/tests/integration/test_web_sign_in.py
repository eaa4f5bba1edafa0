"""Sign-in by Entra ID in Debian's Chromium: `web/e2e/signIn.e2e.ts` against an authority that speaks the protocol."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.facade_without_models import settings_of
from tests.support.fake_entra import AUDIENCE, TENANT, FakeEntra, run_entra
from tests.support.running_facade import running_facade
from thale.facade.api.web_page import FILES

ROOT = Path(__file__).parents[3]
NODE = ROOT / ".tools" / "node" / "bin"
CHROMIUM = shutil.which("chromium") or ""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.exclusive,
    pytest.mark.skipif(
        not CHROMIUM, reason="Chromium is not installed: apt-get install --no-install-recommends chromium"
    ),
    pytest.mark.skipif(not (FILES / "sign-in.html").is_file(), reason="the page is not built: run `make web`"),
]


@pytest.fixture
def entra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEntra]:
    with run_entra(tmp_path / "entra") as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.certificate))
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", running.url)
        yield running


def run_browser(folder: Path, entra: FakeEntra, expected: str) -> str:
    """Run the test in the browser, and return its output."""
    client_ids = {"entra_tenant_id": TENANT, "entra_audience": AUDIENCE, "entra_web_client_id": AUDIENCE}
    with running_facade(settings_of(folder, **client_ids)) as facade:
        entra.sign_ins.redirect_uri = f"{facade.url}/sign-in"
        environment = {
            **os.environ,
            "CHROMIUM": CHROMIUM,
            "PATH": f"{NODE}:{os.environ['PATH']}",
            "THALE_AUTHORITY": entra.url,
            "THALE_EXPECTED": expected,
            "THALE_URL": f"{facade.url}/",
        }
        completed = subprocess.run(
            ["npm", "--prefix", "web", "run", "e2e", "--", "signIn"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
        )
    assert completed.returncode == 0, completed.stdout[-6000:]
    return completed.stdout


def test_user_signs_in_with_code_and_pkce(tmp_path: Path, entra: FakeEntra) -> None:
    entra.sign_ins.token_lifetime_s = 301  # the library renews a token that expires within five minutes
    run_browser(tmp_path, entra, "tokens")
    assert entra.sign_ins.grants[0] == "authorization_code"
    assert "refresh_token" in entra.sign_ins.grants[1:]
    assert not any("instance" in path for path in entra.requested_paths)


def test_page_shows_the_reason_of_a_refused_sign_in(tmp_path: Path, entra: FakeEntra) -> None:
    entra.sign_ins.denial = "access_denied"
    run_browser(tmp_path, entra, "denied")
    assert entra.sign_ins.grants == []
