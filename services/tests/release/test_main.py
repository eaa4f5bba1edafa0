"""Tests of the entry point of the rollout controller in a cluster."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import thale.release.__main__ as entry_point
from thale.release.controller.controller import Intervals
from thale.release.copies.copier import ReleaseCopier


def test_main_passes_each_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("POLL_S", "1"), ("CHECKPOINT_INTERVAL_S", "4"), ("STUCK_S", "7200")):
        monkeypatch.setenv(f"THALE_{name}", seconds)
    passed: list[Intervals] = []

    def run_daemon(*_arguments: object, intervals: Intervals, **_options: object) -> None:
        passed.append(intervals)

    def cluster_environment(*_arguments: object, **_options: object) -> Any:
        return nullcontext()

    monkeypatch.setattr(entry_point, "run_daemon", run_daemon)
    monkeypatch.setattr(entry_point, "cluster_environment", cluster_environment)
    monkeypatch.setattr(entry_point.logs, "configure", lambda level: None)
    assert entry_point.main() == 0
    assert passed == [Intervals(poll_s=1, checkpoint_s=4, stuck_s=7200)]


@pytest.mark.parametrize("location", [None, "folder"])
def test_main_copies_releases_to_the_configured_store(
    location: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if location is not None:
        monkeypatch.setenv("THALE_RELEASE_COPIES", str(tmp_path / location))
    copiers: list[ReleaseCopier | None] = []

    def cluster_environment(*_arguments: object, copier: ReleaseCopier | None) -> Any:
        copiers.append(copier)
        return nullcontext()

    monkeypatch.setattr(entry_point, "run_daemon", lambda *_arguments, **_options: None)
    monkeypatch.setattr(entry_point, "cluster_environment", cluster_environment)
    monkeypatch.setattr(entry_point.logs, "configure", lambda level: None)
    assert entry_point.main() == 0
    assert [copier is not None for copier in copiers] == [location is not None]
