"""Accessibility of the web page in Debian's Chromium: `web/e2e/accessibility.e2e.ts`, with a server without models."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.facade_without_models import settings_of
from tests.support.running_facade import running_facade
from thale.facade.api.web_page import FILES

ROOT = Path(__file__).parents[3]
NODE = ROOT / ".tools" / "node" / "bin"
CHROMIUM = shutil.which("chromium") or ""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.exclusive,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        not CHROMIUM, reason="Chromium is not installed: apt-get install --no-install-recommends chromium"
    ),
    pytest.mark.skipif(not (FILES / "index.html").is_file(), reason="the page is not built: run `make web`"),
]


def test_page_is_accessible_by_axe_keyboard_and_touch(tmp_path: Path) -> None:
    with running_facade(settings_of(tmp_path)) as facade:
        environment = {
            **os.environ,
            "CHROMIUM": CHROMIUM,
            "PATH": f"{NODE}:{os.environ['PATH']}",
            "THALE_URL": f"{facade.url}/",
        }
        completed = subprocess.run(
            ["npm", "--prefix", "web", "run", "e2e", "--", "accessibility"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=360,
        )
    assert completed.returncode == 0, completed.stdout[-6000:]
