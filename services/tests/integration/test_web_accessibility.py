"""Accessibility of the web page in Debian's Chromium: `web/e2e/accessibility.e2e.ts`, with a server without models."""

from pathlib import Path

import pytest

from tests.support.browser_tests import REQUIREMENTS, run_browser_tests
from tests.support.facade_without_models import settings_of
from tests.support.running_facade import running_facade

pytestmark = [pytest.mark.integration, pytest.mark.exclusive, pytest.mark.timeout(400), *REQUIREMENTS]


def test_page_is_accessible_by_axe_keyboard_and_touch(tmp_path: Path) -> None:
    with running_facade(settings_of(tmp_path)) as facade:
        run_browser_tests("accessibility", url=facade.url, timeout_s=360)
