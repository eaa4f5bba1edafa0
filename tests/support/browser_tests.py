"""Tests of the web page in Debian's Chromium: the files `web/e2e/*.e2e.ts`, run by Vitest."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from thale.facade.api.web_page import FILES

ROOT = Path(__file__).parents[2]
_NODE = ROOT / ".tools" / "node" / "bin"
_CHROMIUM = shutil.which("chromium") or ""

REQUIREMENTS = [
    pytest.mark.skipif(
        not _CHROMIUM, reason="Chromium is not installed: apt-get install --no-install-recommends chromium"
    ),
    pytest.mark.skipif(not (FILES / "sign-in.html").is_file(), reason="the page is not built: run `make web`"),
]
"""Marks of a test file that calls `run_browser_tests`."""


def run_browser_tests(*names: str, url: str, timeout_s: float, **variables: str) -> None:
    """Run files of `web/e2e` against the page at a URL.

    Args:
        names: Parts of the file names.
        url: URL of the server.
        timeout_s: Maximum duration.
        variables: Further environment variables of the tests.
    """
    environment = {
        **os.environ,
        "CHROMIUM": _CHROMIUM,
        "PATH": f"{_NODE}:{os.environ['PATH']}",
        "THALE_URL": f"{url}/",
        **variables,
    }
    completed = subprocess.run(
        ["npm", "--prefix", "web", "run", "e2e", "--", *names],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
    )
    assert completed.returncode == 0, completed.stdout[-6000:]
