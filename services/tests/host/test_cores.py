"""Tests of the number of cores: affinity and CPU limits of both versions of cgroups."""

import os
from pathlib import Path

import pytest

from thale.host.cores import AvailableCores, available_cores

VISIBLE = 8


@pytest.fixture(autouse=True)
def _visible_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(VISIBLE)))


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


@pytest.mark.parametrize(
    ("limit", "count", "reason"),
    [
        ("max 100000", 8, "8 cores"),
        ("150000 100000", 2, "CPU limit of 1.5 of 8 cores"),
        ("200000 100000", 2, "CPU limit of 2 of 8 cores"),
        ("10000 100000", 1, "CPU limit of 0.1 of 8 cores"),
        ("1600000 100000", 8, "8 cores"),
        ("unreadable", 8, "8 cores"),
        ("100000 0", 8, "8 cores"),
    ],
)
def test_available_cores_in_a_container(limit: str, count: int, reason: str, tmp_path: Path) -> None:
    write(tmp_path, own="0::/\n")
    write(tmp_path / "cgroup", cpu__max=limit)
    assert available_cores(tmp_path / "own", tmp_path / "cgroup") == AvailableCores(count, reason)


def test_available_cores_uses_the_least_limit_of_all_parents(tmp_path: Path) -> None:
    write(tmp_path, own="0::/pods/pod-1/container\n")
    write(tmp_path / "cgroup" / "pods", cpu__max="600000 100000")
    write(tmp_path / "cgroup" / "pods" / "pod-1", cpu__max="300000 100000")
    write(tmp_path / "cgroup" / "pods" / "pod-1" / "container", cpu__max="max 100000")
    assert available_cores(tmp_path / "own", tmp_path / "cgroup").count == 3


def test_available_cores_reads_version_1(tmp_path: Path) -> None:
    write(tmp_path, own="12:memory:/a\n4:cpu,cpuacct:/docker/1\n")
    write(tmp_path / "cgroup" / "cpu" / "docker" / "1", cpu__cfs_quota_us="250000", cpu__cfs_period_us="100000")
    write(tmp_path / "cgroup" / "cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    assert available_cores(tmp_path / "own", tmp_path / "cgroup").count == 3


def test_available_cores_without_cgroups(tmp_path: Path) -> None:
    assert available_cores(tmp_path / "own", tmp_path / "cgroup") == AvailableCores(VISIBLE, "8 cores")
