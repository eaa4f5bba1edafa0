"""The series view of the web page in Debian's Chromium against a running platform: `web/e2e/series.e2e.ts`."""

from pathlib import Path

import pytest

from tests.support.browser_tests import REQUIREMENTS, run_browser_tests
from tests.support.default_models import WEIGHTS
from tests.support.grown_plates import write_grown_plates
from tests.support.local_platform import run_platform

TIMEOUT_S = 400

pytestmark = [pytest.mark.integration, pytest.mark.exclusive, pytest.mark.timeout(700), *REQUIREMENTS]


def test_page_follows_plants_of_three_days(tmp_path: Path) -> None:
    plates = write_grown_plates(tmp_path / "plates")
    with run_platform(tmp_path / "home", WEIGHTS) as platform:
        run_browser_tests("series", url=platform.url, timeout_s=TIMEOUT_S, THALE_PLATES=":".join(map(str, plates)))
