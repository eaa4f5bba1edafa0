"""Failover between two controller processes: the second one resumes after the first one is killed."""

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

pytestmark = pytest.mark.integration

STABLE, CANARY = "1.0.0", "1.1.0"


@pytest.fixture
def facade() -> Iterator[FakeFacade]:
    with run_fake_facade() as running:
        yield running


def count_responses(facade: FakeFacade, canary: int, stable: int) -> None:
    facade.count_responses(CANARY, canary)
    facade.count_responses(STABLE, stable)


def test_second_controller_resumes_after_the_leader_is_killed(tmp_path: Path, facade: FakeFacade) -> None:
    target = StateFileTarget(tmp_path / "release-state.json")
    checkpoints = FileCheckpointStore(tmp_path / "checkpoint.json")
    target.put(
        transitions.start_canary(
            make_release(STABLE), make_version(CANARY), author_now("anna", "better"), steps=(5, 100)
        )
    )

    def canary_requests() -> int:
        checkpoint = load_checkpoint(checkpoints)
        if checkpoint is None or not checkpoint.rollouts:
            return -1
        return checkpoint.rollouts[MODEL].analysis.step_window.canary.requests.get("ok", 0)

    def leader() -> str | None:
        checkpoint = load_checkpoint(checkpoints)
        return checkpoint.leader if checkpoint is not None else None

    def start_controller(author: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.controller_process", str(tmp_path), facade.url, author],
            cwd=Path(__file__).parents[3],
        )

    first = start_controller("first")
    try:
        wait_for("the first checkpoint", lambda: canary_requests() == 0)
        second = start_controller("second")
        try:
            count_responses(facade, 150, 1500)
            wait_for("the counts of the first controller", lambda: canary_requests() == 150)
            first.kill()
            wait_for("a checkpoint of the second controller", lambda: leader() == "second")
            count_responses(facade, 600, 6000)
            wait_for("the step", lambda: target.read(MODEL).release.weight_percent == 100)
            count_responses(facade, 600, 6000)
            wait_for("the promotion", lambda: target.read(MODEL).release.canary is None)
        finally:
            second.kill()
            second.wait()
    finally:
        first.kill()
        first.wait()
    history = target.read(MODEL).release.history
    expected = [("canary", "anna"), ("step", "second"), ("promote", "second")]
    assert [(event.what, event.who) for event in history] == expected
    assert "750 responses" in history[1].why
