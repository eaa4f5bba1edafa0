import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from thale.release.controller.leader_election import FileLease, candidate

_HOLDER = """
import sys, time
from pathlib import Path
from thale.release.controller.leader_election import FileLease
lease = FileLease(Path(sys.argv[1]))
assert lease.keep()
print("held", flush=True)
time.sleep(600)
"""


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def test_only_one_holds_a_lease_and_the_next_gets_it_when_it_is_let_go(tmp_path: Path) -> None:
    first, second = FileLease(tmp_path / "lease"), FileLease(tmp_path / "lease")
    assert (first.keep(), second.keep()) == (True, False)
    assert (first.keep(), first.held(), second.held()) == (True, True, False)
    first.let_go()
    assert (first.held(), second.keep()) == (False, True)
    second.let_go()


def test_a_killed_holder_lets_go_by_dying(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    lease = FileLease(path)
    assert not lease.keep()
    holder.send_signal(signal.SIGKILL)
    holder.wait(60)
    assert lease.keep()
    lease.let_go()


def test_a_program_that_the_holder_starts_does_not_inherit_the_lease(tmp_path: Path) -> None:
    lease = FileLease(tmp_path / "lease")
    assert lease.keep()
    words = [sys.executable, "-c", "input(print('here', flush=True))"]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, close_fds=False)
    assert child.stdout is not None
    assert child.stdout.readline() == "here\n"
    lease.let_go()
    other = FileLease(tmp_path / "lease")
    assert other.keep()
    child.communicate("\n")
    other.let_go()


def test_a_lease_whose_file_was_replaced_is_held_no_more(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    lease, other = FileLease(path), FileLease(path)
    assert lease.keep()
    path.unlink()
    assert not lease.held()
    assert other.keep()
    assert not lease.keep()
    other.let_go()


def test_a_folder_that_is_gone_or_closed_gives_no_lease_and_no_error(tmp_path: Path) -> None:
    assert not FileLease(tmp_path / "gone" / "lease").keep()
    assert not FileLease(tmp_path).keep()  # a folder where the file should be


def test_a_candidate_becomes_the_leader_as_soon_as_the_leader_is_gone(tmp_path: Path) -> None:
    first, second = FileLease(tmp_path / "lease"), FileLease(tmp_path / "lease")
    with candidate(second):
        pass  # it came, led perhaps, and left nothing behind
    with candidate(first):
        wait_for(first.held)
        with candidate(second):
            assert not second.held()
            first.let_go()
            wait_for(lambda: first.held() or second.held())
            assert first.held() != second.held()
    assert not first.held()
    assert not second.held()
