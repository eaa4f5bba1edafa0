"""Tests of the supervised service: restarts, the restart policy and the log."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.local_platform import wait_for, wait_until_all_exited
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


def test_service_restarts_after_exit_and_notifies(tmp_path: Path) -> None:
    notices: list[str] = []
    exits_once = "import pathlib, time; p = pathlib.Path('exited'); p.exists() and time.sleep(600); p.touch()"
    supervised = make_service(tmp_path, exits_once, notices, RestartPolicy(initial_delay_s=0.01))
    supervised.start()
    try:
        wait_for("the first exit", lambda: supervised.restart_if_dead() or notices)
        assert notices == [f"the service exited with status 0: restart in 0.01 s (log: {supervised.log})"]
        wait_for("the second start", lambda: supervised.restart_if_dead() or supervised.is_running)
    finally:
        supervised.stop()
    assert not supervised.is_running


@pytest.mark.slow
def test_service_raises_with_log_tail_above_max_restarts(tmp_path: Path) -> None:
    supervised = make_service(
        tmp_path, "raise SystemExit('no such model')", [], RestartPolicy(max_restarts=2, initial_delay_s=0.01)
    )
    supervised.start()

    def supervise() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            supervised.restart_if_dead()

    with pytest.raises(LocalPlatformError, match=r"(?s)status 1 after 3 starts.*no such model"):
        supervise()


def test_restart_policy_doubles_delay_and_ignores_old_exits() -> None:
    restart_policy = RestartPolicy(max_restarts=3, window_s=60, initial_delay_s=1)
    assert [restart_policy.delay_after(list(range(exits))) for exits in (1, 2, 3, 4)] == [1, 2, 4, None]
    assert restart_policy.delay_after([0, 1, 2, 100]) == 1


def test_start_raises_if_folder_does_not_exist(tmp_path: Path) -> None:
    supervised = make_service(tmp_path / "gone", "", [], RestartPolicy())
    supervised.log = tmp_path / "service.log"
    with pytest.raises(LocalPlatformError, match="cannot be started"):
        supervised.start()


def test_start_raises_if_log_cannot_be_written(tmp_path: Path) -> None:
    supervised = make_service(tmp_path, "", [], RestartPolicy())
    supervised.log = tmp_path / "gone" / "service.log"
    with pytest.raises(LocalPlatformError, match=r"cannot be started: .*gone/service\.log"):
        supervised.start()


def test_kill_ends_service_that_ignores_sigterm(tmp_path: Path) -> None:
    ignores_sigterm = "import signal, time; signal.signal(15, signal.SIG_IGN); print('x', flush=True); time.sleep(600)"
    supervised = make_service(tmp_path, ignores_sigterm, [], RestartPolicy())
    supervised.grace_s = 600
    supervised.start()
    wait_for("the start", supervised.log.read_text)
    guard = psutil.Process(supervised.process_id)
    processes = [guard, *guard.children()]
    supervised.kill()
    assert wait_until_all_exited(processes)
    assert not supervised.is_running
