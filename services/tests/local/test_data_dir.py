"""The home: one platform at a time, and who it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from thale.errors import LaptopError
from thale.local.data_dir import Home, Running
from thale.local.ports import Ports

ADDRESSES = Ports(1234, 2, 3, 4, 5, 6, 7).addresses()


def test_a_second_platform_on_the_same_home_is_refused_with_the_address_of_the_first(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with home.hold():
        with pytest.raises(LaptopError, match="just starting"), home.hold():
            pass
        first = Running.here(ADDRESSES, "0.1.0", lasting=True)
        told = rf"process {os.getpid()}, http://127\.0\.0\.1:1234"
        with home.announce(first), pytest.raises(LaptopError, match=told), home.hold():
            pass
    with home.hold():
        pass


def test_a_holder_that_is_killed_lets_go(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from thale.local.data_dir import Home\n"
        "with Home(Path(sys.argv[1])).hold():\n    print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
    with Home(tmp_path).hold():
        pass


def test_a_run_file_of_a_dead_process_counts_for_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    dead = Running.here(ADDRESSES, "0.1.0", lasting=True).model_copy(update={"started": 1.0})
    (tmp_path / "running.json").write_text(dead.model_dump_json())
    assert home.running() is None
    (tmp_path / "running.json").write_text("half a fi")
    assert home.running() is None


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LaptopError, match=r"cannot be written.*--home"), Home(tmp_path / "file" / "home").hold():
        pass


def test_the_default_home_follows_the_xdg_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Home.at(None).folder == tmp_path / "thale"
    assert Home.at(tmp_path / "x").folder == tmp_path / "x"
