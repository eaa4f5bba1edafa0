"""Tests of the service commands: the worker launcher and the facade's environment."""

import subprocess
from pathlib import Path

import pytest

from thale.local.commands import facade_environment, torchserve_environment, write_worker_launcher
from thale.local.data_dir import DataDir
from thale.local.ports import PlatformPorts
from thale.local.sockets import TorchServeSockets
from thale.local.worker_plan import WorkerPlan


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


def test_environments_follow_the_worker_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("THALE_MAX_IN_FLIGHT", "THALE_WORKER_THREADS"):
        monkeypatch.delenv(name, raising=False)
    data_dir, sockets = DataDir(tmp_path), TorchServeSockets(tmp_path)
    plan = WorkerPlan(workers=3, threads=5, max_in_flight=15, reason="15 cores")
    facade = facade_environment(data_dir, PlatformPorts(8080, 9090), sockets, plan)
    torchserve = torchserve_environment(data_dir, sockets, plan)
    assert facade["THALE_MAX_IN_FLIGHT"] == "15"
    assert (torchserve["TS_DEFAULT_WORKERS_PER_MODEL"], torchserve["THALE_WORKER_THREADS"]) == ("3", "5")
    monkeypatch.setenv("THALE_MAX_IN_FLIGHT", "7")
    monkeypatch.setenv("THALE_WORKER_THREADS", "2")
    assert facade_environment(data_dir, PlatformPorts(8080, 9090), sockets, plan)["THALE_MAX_IN_FLIGHT"] == "7"
    assert torchserve_environment(data_dir, sockets, plan)["THALE_WORKER_THREADS"] == "2"
