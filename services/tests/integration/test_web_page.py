"""The web page in Debian's Chromium against a running platform: `web/e2e/page.e2e.ts` and `experiments.e2e.ts`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.default_models import WEIGHTS
from tests.support.local_platform import run_platform
from thale.facade.api.web_page import FILES

ROOT = Path(__file__).parents[3]
NODE = ROOT / ".tools" / "node" / "bin"
CHROMIUM = shutil.which("chromium") or ""
TIMEOUT_S = 600
PLATES = 3

pytestmark = [
    pytest.mark.integration,
    pytest.mark.exclusive,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not CHROMIUM, reason="Chromium is not installed: apt-get install --no-install-recommends chromium"
    ),
    pytest.mark.skipif(not (FILES / "index.html").is_file(), reason="the page is not built: run `make web`"),
]


def synthesise_plates(folder: Path) -> list[Path]:
    arguments = ("synthesize", "--out", str(folder), "--plates", str(PLATES), "--seed", "5")
    subprocess.run([sys.executable, "-m", "thale_models.cli", *arguments], check=True, capture_output=True)
    return sorted((folder / "images").iterdir())


def test_page_measures_corrects_and_downloads(tmp_path: Path) -> None:
    plates = synthesise_plates(tmp_path / "plates")
    with run_platform(tmp_path / "home", WEIGHTS) as platform:
        environment = {
            **os.environ,
            "CHROMIUM": CHROMIUM,
            "PATH": f"{NODE}:{os.environ['PATH']}",
            "THALE_PLATES": ":".join(map(str, plates)),
            "THALE_URL": f"{platform.url}/",
        }
        completed = subprocess.run(
            ["npm", "--prefix", "web", "run", "e2e", "--", "page", "experiments"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
        )
    assert completed.returncode == 0, completed.stdout[-6000:]
