"""The web page in Debian's Chromium against a running platform: `web/e2e/page.e2e.ts` and `experiments.e2e.ts`."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.browser_tests import REQUIREMENTS, run_browser_tests
from tests.support.default_models import WEIGHTS
from tests.support.local_platform import run_platform

TIMEOUT_S = 600
PLATES = 3

pytestmark = [pytest.mark.integration, pytest.mark.exclusive, pytest.mark.timeout(900), *REQUIREMENTS]


def synthesise_plates(folder: Path) -> list[Path]:
    arguments = ("synthesize", "--out", str(folder), "--plates", str(PLATES), "--seed", "5")
    subprocess.run([sys.executable, "-m", "thale_models.cli", *arguments], check=True, capture_output=True)
    return sorted((folder / "images").iterdir())


def test_page_measures_corrects_and_downloads(tmp_path: Path) -> None:
    plates = synthesise_plates(tmp_path / "plates")
    with run_platform(tmp_path / "home", WEIGHTS) as platform:
        run_browser_tests(
            "page", "experiments", url=platform.url, timeout_s=TIMEOUT_S, THALE_PLATES=":".join(map(str, plates))
        )
