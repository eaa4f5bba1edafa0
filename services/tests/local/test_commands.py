"""How the services are started: what stands for Python when TorchServe starts a worker."""

import os
import subprocess
from pathlib import Path

import pytest

from thale.local.commands import facade_environment, write_worker_launcher
from thale.local.data_dir import DataDir
from thale.local.ports import choose_ports


def test_the_worker_program_runs_a_worker_wherever_the_home_is(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "it's a $HOME")
    data_dir.torchserve.mkdir(parents=True)
    script = tmp_path / "my scripts" / "model_service_worker.py"
    script.parent.mkdir()
    script.write_text("import sys; print(sys.argv[1:], 'thale_models.worker' in sys.argv[0], __name__)")
    for _ in ("written", "written over"):
        command = [write_worker_launcher(data_dir), script, "a b", "--sock-type"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == "['a b', '--sock-type'] False __main__\n"


def test_as_many_images_are_at_work_as_there_are_cores_unless_somebody_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THALE_MAX_IN_FLIGHT", raising=False)
    limits = [
        facade_environment(DataDir(tmp_path), choose_ports(0), workers)["THALE_MAX_IN_FLIGHT"] for workers in (1, 64)
    ]
    assert limits == [str(max(2, len(os.sched_getaffinity(0)))), "64"]
    monkeypatch.setenv("THALE_MAX_IN_FLIGHT", "7")
    assert facade_environment(DataDir(tmp_path), choose_ports(0), 1)["THALE_MAX_IN_FLIGHT"] == "7"
