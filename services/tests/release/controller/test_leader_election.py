import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from thale.release.controller.leader_election import FileLease, run_leader_election

_HOLDER_SCRIPT = """
import sys, time
from pathlib import Path
from thale.release.controller.leader_election import FileLease
lease = FileLease(Path(sys.argv[1]))
assert lease.acquire_or_renew()
print("held", flush=True)
time.sleep(600)
"""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "timed out after 60 s"
        time.sleep(0.01)


def test_file_lease_has_one_holder_until_release(tmp_path: Path) -> None:
    first, second = FileLease(tmp_path / "lease"), FileLease(tmp_path / "lease")
    assert (first.acquire_or_renew(), second.acquire_or_renew()) == (True, False)
    assert (first.acquire_or_renew(), first.is_leader(), second.is_leader()) == (True, True, False)
    first.release()
    assert (first.is_leader(), second.acquire_or_renew()) == (False, True)
    second.release()


def test_file_lease_is_free_after_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER_SCRIPT, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    lease = FileLease(path)
    assert not lease.acquire_or_renew()
    holder.send_signal(signal.SIGKILL)
    holder.wait(60)
    assert lease.acquire_or_renew()
    lease.release()


def test_file_lease_is_not_inherited_by_child_processes(tmp_path: Path) -> None:
    lease = FileLease(tmp_path / "lease")
    assert lease.acquire_or_renew()
    command = [sys.executable, "-c", "input(print('here', flush=True))"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, close_fds=False)
    assert child.stdout is not None
    assert child.stdout.readline() == "here\n"
    lease.release()
    other = FileLease(tmp_path / "lease")
    assert other.acquire_or_renew()
    child.communicate("\n")
    other.release()


def test_file_lease_is_lost_when_its_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    lease, other = FileLease(path), FileLease(path)
    assert lease.acquire_or_renew()
    path.unlink()
    assert not lease.is_leader()
    assert other.acquire_or_renew()
    assert not lease.acquire_or_renew()
    other.release()


def test_file_lease_is_not_acquired_without_a_folder(tmp_path: Path) -> None:
    assert not FileLease(tmp_path / "gone" / "lease").acquire_or_renew()
    assert not FileLease(tmp_path).acquire_or_renew()  # a folder instead of a file


def test_leader_election_has_one_leader_after_a_release(tmp_path: Path) -> None:
    first, second = FileLease(tmp_path / "lease"), FileLease(tmp_path / "lease")
    with run_leader_election(second):
        pass  # it must release the lease, whether or not it became the leader
    with run_leader_election(first):
        wait_for(first.is_leader)
        with run_leader_election(second):
            assert not second.is_leader()
            first.release()
            wait_for(lambda: first.is_leader() or second.is_leader())
            assert first.is_leader() != second.is_leader()
    assert not first.is_leader()
    assert not second.is_leader()
