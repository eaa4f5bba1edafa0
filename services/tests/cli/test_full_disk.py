"""Tests of commands on a full disk: one sentence on standard error, and no traceback."""

import subprocess
from pathlib import Path

import pytest

from thale.host.interpreter import python_command


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["models", "--home", "FILE"], "FILE/running.json cannot be used: Not a directory: remove the file"),
        (["release", "--home", "FILE", "list"], "FILE/running.json cannot be used: Not a directory: remove the file"),
        (["up", "--home", "FILE/x"], "the data directory FILE/x cannot be written (Not a directory): free space"),
    ],
)
def test_commands_report_unusable_data_directory(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "file").touch()
    path = str(tmp_path / "file")
    command = python_command("-m", "thale", *(argument.replace("FILE", path) for argument in arguments))
    completed = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert completed.returncode == 1
    assert completed.stderr.startswith(f"thale: {message.replace('FILE', path)}"), completed.stderr
    assert completed.stderr.count("\n") == 1


def test_thale_reports_full_disk_of_output() -> None:
    check_full_disk(["thale", "--version"])


@pytest.mark.slow
def test_thale_models_reports_full_disk_of_archive(tmp_path: Path, weights: Path) -> None:
    (tmp_path / ".plate-seg-1.0.0.mar.part").symlink_to("/dev/full")
    model = str(weights / "plate-seg" / "1.0.0")
    check_full_disk(["thale_models.cli", "archive", model, "--no-compute-golden", "--out", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def check_full_disk(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full_disk:
        command = python_command("-m", *arguments)
        completed = subprocess.run(command, stdout=full_disk, stderr=subprocess.PIPE, text=True, timeout=240)
    assert completed.returncode in (1, 2)
    assert "No space left on device: free space on that disk, or choose another folder" in completed.stderr
    assert completed.stderr.count("\n") == 1, completed.stderr
