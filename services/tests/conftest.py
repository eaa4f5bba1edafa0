"""Shared fixtures of the command-line and client tests: one local platform with tiny models."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.local_platform import PlatformProcess, run_platform, write_weights


@pytest.fixture(autouse=True)
def _restore_safe_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore PYTHONSAFEPATH and the import path, which the entry points change."""
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[PlatformProcess]:
    with run_platform(tmp_path_factory.mktemp("home"), weights) as running:
        yield running


def pytest_configure() -> None:
    """Restore the default signal handlers: subprocesses inherit signals ignored by nohup or a background job."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
