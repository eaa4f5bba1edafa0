"""Integration tests of a disk that is full at the start or at the end.

A limit of the file size simulates the disk: it needs no privilege, so that the tests run in any container. The
write that exceeds it fails, as on a full disk, and a smaller file can still be written.
"""

import os
import resource
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from tests.support.local_platform import TIMEOUT_S, PlatformProcess
from tests.support.sample_images import seedlings
from thale.host.interpreter import python_command

pytestmark = pytest.mark.integration


def run_thale(
    *arguments: str | Path, max_file_bytes: int, variables: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run a `thale` command whose files, and those of its child processes, have a maximum size."""
    limits = (max_file_bytes, max_file_bytes)
    return subprocess.run(
        python_command("-m", "thale", *map(str, arguments)),
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
    )


def test_up_reports_full_disk_at_start(tmp_path: Path, weights: Path) -> None:
    variables = {"THALE_HOME": str(tmp_path / "home"), "THALE_WEIGHTS": str(weights)}
    completed = run_thale("up", max_file_bytes=3000, variables=variables)
    assert completed.returncode == 1, completed.stderr
    assert "cannot be archived: " in completed.stderr
    assert "File too large: raise the limit" in completed.stderr
    assert "Traceback" not in completed.stderr
    assert completed.stderr.splitlines()[-1].startswith("thale: the model in ")
    assert not [path for path in (tmp_path / "home" / "model-store").iterdir() if path.suffix == ".mar"]


def test_analyze_reports_full_disk_and_resumes(platform: PlatformProcess, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    Image.fromarray(seedlings()).save(photos / "a.png")
    arguments = ("analyze", photos, "--out", out, "--mm-per-px", "0.25")
    assert platform.run(*arguments).returncode == 0
    table, result = (out / "traits.csv").read_bytes(), (out / "a.json").read_bytes()
    shutil.copy(photos / "a.png", photos / "b.png")

    variables = {"THALE_HOME": str(platform.home), "THALE_WEIGHTS": str(platform.weights)}
    failed = run_thale(*arguments, max_file_bytes=(out / "a.overlay.png").stat().st_size // 2, variables=variables)
    assert failed.returncode == 1, failed.stderr
    assert f"results cannot be written to {out}" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert (out / "a.json").read_bytes() == result
    assert (out / "traits.csv").read_bytes() == table
    assert not list(out.glob(".*.part"))
    assert not (out / "b.json").exists()

    resumed = platform.run(*arguments)
    assert resumed.returncode == 0, resumed.stdout
    assert "1 measured, 1 skipped (already measured)" in resumed.stdout
