"""A supervised process: it comes back when it dies, and is given up with its last words when it keeps dying."""

import sys
import time
from pathlib import Path

import pytest

from tests.support.local_platform import wait_for
from thale.errors import LocalPlatformError
from thale.local.supervised_service import RestartPolicy, Service


def make_service(folder: Path, program: str, notices: list[str], restart_policy: RestartPolicy) -> Service:
    return Service(
        name="the service",
        command=lambda: [sys.executable, "-S", "-c", program],
        environment={},
        folder=folder,
        log=folder / "service.log",
        notify=notices.append,
        restart_policy=restart_policy,
    )


def test_a_service_that_dies_is_started_again_and_said_so(tmp_path: Path) -> None:
    notices: list[str] = []
    once = "import pathlib, time; p = pathlib.Path('died'); p.exists() and time.sleep(600); p.touch(); print('bye')"
    supervised = make_service(tmp_path, once, notices, RestartPolicy(initial_delay_s=0.01))
    supervised.start()
    try:
        wait_for("the first death", lambda: supervised.restart_if_dead() or notices)
        assert notices == [
            f"the service ended with status 0: starting it again in 0.01 s (its log is {supervised.log})"
        ]
        wait_for("the second start", lambda: supervised.restart_if_dead() or supervised.is_running)
    finally:
        supervised.stop()
    assert not supervised.is_running


def test_a_service_that_keeps_dying_is_given_up_with_the_end_of_its_log(tmp_path: Path) -> None:
    supervised = make_service(
        tmp_path, "raise SystemExit('no such model')", [], RestartPolicy(max_restarts=2, initial_delay_s=0.01)
    )
    supervised.start()

    def watch() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            supervised.restart_if_dead()

    with pytest.raises(LocalPlatformError, match=r"(?s)status 1, 3 times.*no such model"):
        watch()


def test_waits_double_and_old_deaths_are_forgiven() -> None:
    restart_policy = RestartPolicy(max_restarts=3, window_s=60, initial_delay_s=1)
    assert [restart_policy.delay_after(list(range(deaths))) for deaths in (1, 2, 3, 4)] == [1, 2, 4, None]
    assert restart_policy.delay_after([0, 1, 2, 100]) == 1


def test_a_command_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    supervised = make_service(tmp_path / "gone", "", [], RestartPolicy())
    supervised.log = tmp_path / "service.log"
    with pytest.raises(LocalPlatformError, match="cannot be started"):
        supervised.start()


def test_a_log_that_grew_large_is_set_aside(tmp_path: Path) -> None:
    supervised = make_service(tmp_path, "", [], RestartPolicy())
    supervised.log.write_bytes(bytes(10_000_001))
    supervised.start()
    supervised.stop()
    assert supervised.log.stat().st_size < 1000
    assert (tmp_path / "service.old.log").stat().st_size == 10_000_001
