"""A supervised process: it comes back when it dies, and is given up with its last words when it keeps dying."""

import sys
import time
from pathlib import Path

import pytest

from tests.support.local_platform import wait_for
from thale.errors import LaptopError
from thale.local.supervised_service import Patience, Service


def service(folder: Path, program: str, said: list[str], patience: Patience) -> Service:
    return Service(
        name="the service",
        command=lambda: [sys.executable, "-S", "-c", program],
        environment={},
        folder=folder,
        log=folder / "service.log",
        say=said.append,
        patience=patience,
    )


def test_a_service_that_dies_is_started_again_and_said_so(tmp_path: Path) -> None:
    said: list[str] = []
    once = "import pathlib, time; p = pathlib.Path('died'); p.exists() and time.sleep(600); p.touch(); print('bye')"
    watched = service(tmp_path, once, said, Patience(first_wait_s=0.01))
    watched.start()
    try:
        wait_for("the first death", lambda: watched.keep_running() or said)
        assert said == [f"the service ended with status 0: starting it again in 0.01 s (its log is {watched.log})"]
        wait_for("the second start", lambda: watched.keep_running() or watched.running)
    finally:
        watched.stop()
    assert not watched.running


def test_a_service_that_keeps_dying_is_given_up_with_the_end_of_its_log(tmp_path: Path) -> None:
    watched = service(tmp_path, "raise SystemExit('no such model')", [], Patience(restarts=2, first_wait_s=0.01))
    watched.start()

    def watch() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            watched.keep_running()

    with pytest.raises(LaptopError, match=r"(?s)status 1, 3 times.*no such model"):
        watch()


def test_waits_double_and_old_deaths_are_forgiven() -> None:
    patience = Patience(restarts=3, window_s=60, first_wait_s=1)
    assert [patience.wait_after(list(range(deaths))) for deaths in (1, 2, 3, 4)] == [1, 2, 4, None]
    assert patience.wait_after([0, 1, 2, 100]) == 1


def test_a_command_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    watched = service(tmp_path / "gone", "", [], Patience())
    watched.log = tmp_path / "service.log"
    with pytest.raises(LaptopError, match="cannot be started"):
        watched.start()


def test_a_log_that_grew_large_is_set_aside(tmp_path: Path) -> None:
    watched = service(tmp_path, "", [], Patience())
    watched.log.write_bytes(bytes(10_000_001))
    watched.start()
    watched.stop()
    assert watched.log.stat().st_size < 1000
    assert (tmp_path / "service.old.log").stat().st_size == 10_000_001
