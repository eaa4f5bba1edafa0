"""Two watchers as processes: what one of them leaves when it is killed, the other goes on with."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_facade import MODEL, FakeFacade, run_fake_facade
from tests.support.local_platform import wait_for
from tests.support.sample_releases import make_release, make_version
from tests.support.state_file_target import StateFileTarget
from thale.release.controller.checkpoint import FileCheckpointStore, load_checkpoint
from thale.release.lifecycle import transitions
from thale.release.targets.update import author_now

STABLE, CANARY = "1.0.0", "1.1.0"


@pytest.fixture
def facade() -> Iterator[FakeFacade]:
    with run_fake_facade() as running:
        yield running


def count_responses(facade: FakeFacade, canary: int, stable: int) -> None:
    facade.count_responses(CANARY, canary)
    facade.count_responses(STABLE, stable)


def test_a_leader_that_is_killed_in_the_middle_of_a_step_is_followed_by_another(
    tmp_path: Path, facade: FakeFacade
) -> None:
    actuator, notes = (
        StateFileTarget(tmp_path / "release-state.json"),
        FileCheckpointStore(tmp_path / "checkpoint.json"),
    )
    actuator.put(
        transitions.start_canary(
            make_release(STABLE), make_version(CANARY), author_now("anna", "better"), steps=(5, 100)
        )
    )

    def canary_requests() -> int:
        page = load_checkpoint(notes)
        return page.rollouts[MODEL].analysis.step_window.canary.requests.get("ok", 0) if page and page.rollouts else -1

    def watcher(who: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.controller_process", str(tmp_path), facade.url, who],
            cwd=Path(__file__).parents[3],
        )

    first = watcher("first")
    try:
        wait_for("the first notes", lambda: canary_requests() == 0)
        second = watcher("second")
        try:
            count_responses(facade, 150, 1500)
            wait_for("what the first has heard", lambda: canary_requests() == 150)
            first.kill()
            wait_for(
                "the second's notes", lambda: (page := load_checkpoint(notes)) is not None and page.leader == "second"
            )
            count_responses(facade, 600, 6000)
            wait_for("the step", lambda: actuator.read(MODEL).release.weight_percent == 100)
            count_responses(facade, 600, 6000)
            wait_for("the end", lambda: actuator.read(MODEL).release.canary is None)
        finally:
            second.kill()
            second.wait()
    finally:
        first.kill()
        first.wait()
    history = actuator.read(MODEL).release.history
    assert [(line.what, line.who) for line in history] == [
        ("canary", "anna"),
        ("step", "second"),
        ("promote", "second"),
    ]
    assert "750 answers" in history[1].why
