"""Tests of the service commands: the worker launcher and the facade's environment."""

import os
import subprocess
from pathlib import Path

import pytest

from thale.local.commands import facade_environment, write_worker_launcher
from thale.local.data_dir import DataDir
from thale.local.ports import PlatformPorts
from thale.local.sockets import TorchServeSockets


def test_worker_launcher_runs_script_from_any_data_directory(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "it's a $HOME")
    data_dir.torchserve.mkdir(parents=True)
    script = tmp_path / "my scripts" / "model_service_worker.py"
    script.parent.mkdir()
    script.write_text("import sys; print(sys.argv[1:], 'thale_models.worker' in sys.argv[0], __name__)")
    for _ in ("new file", "existing file"):
        command = [write_worker_launcher(data_dir), script, "a b", "--sock-type"]
        completed = subprocess.run(command, capture_output=True, text=True, check=True)
        assert completed.stdout == "['a b', '--sock-type'] False __main__\n"


def test_facade_environment_limits_concurrency_to_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THALE_MAX_IN_FLIGHT", raising=False)
    addresses = (DataDir(tmp_path), PlatformPorts(8080, 9090), TorchServeSockets(tmp_path))
    limits = [facade_environment(*addresses, workers)["THALE_MAX_IN_FLIGHT"] for workers in (1, 64)]
    assert limits == [str(max(2, len(os.sched_getaffinity(0)))), "64"]
    monkeypatch.setenv("THALE_MAX_IN_FLIGHT", "7")
    assert facade_environment(*addresses, 1)["THALE_MAX_IN_FLIGHT"] == "7"
