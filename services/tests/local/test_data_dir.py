"""Tests of the data directory: its lock and the running platform."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from thale.errors import LocalPlatformError
from thale.local.data_dir import DataDir, RunningPlatform
from thale.local.ports import PlatformPorts
from thale.local.sockets import TorchServeSockets

ADDRESSES = PlatformPorts(1234, 2).addresses(TorchServeSockets(Path("/run/thale")))


def test_lock_error_names_running_platform(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "home")
    with data_dir.lock():
        with pytest.raises(LocalPlatformError, match="another thale is starting"), data_dir.lock():
            pass
        running = RunningPlatform.current_process(ADDRESSES, "0.1.0", persistent=True)
        message = rf"process {os.getpid()}, http://127\.0\.0\.1:1234"
        with data_dir.publish(running), pytest.raises(LocalPlatformError, match=message), data_dir.lock():
            pass
    with data_dir.lock():
        pass


def test_lock_is_released_when_holder_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from thale.local.data_dir import DataDir\n"
        "with DataDir(Path(sys.argv[1])).lock():\n    print('locked', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        holder.kill()
    with DataDir(tmp_path).lock():
        pass


def test_find_running_platform_ignores_dead_process(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    dead = RunningPlatform.current_process(ADDRESSES, "0.1.0", persistent=True).model_copy(update={"started_at": 1.0})
    (tmp_path / "running.json").write_text(dead.model_dump_json())
    assert data_dir.find_running_platform() is None
    (tmp_path / "running.json").write_text('{"pid": ')
    assert data_dir.find_running_platform() is None


def test_lock_error_names_unwritable_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(LocalPlatformError, match=r"cannot be written.*--home"),
        DataDir(tmp_path / "file" / "home").lock(),
    ):
        pass


def test_resolve_default_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert DataDir.resolve(None).path == tmp_path / "thale"
    assert DataDir.resolve(tmp_path / "x").path == tmp_path / "x"
