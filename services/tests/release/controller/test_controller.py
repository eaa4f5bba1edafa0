"""The watcher with the real judge, real files and facades that answer over HTTP; nobody answers any request."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from tests.support.fake_facade import MODEL, FakeFacade, run_fake_facade
from tests.support.local_platform import wait_for
from tests.support.sample_releases import ANNA, make_release, make_version
from tests.support.state_file_target import StateFileTarget
from thale.release.controller.checkpoint import FileCheckpointStore, load_checkpoint
from thale.release.controller.controller import Intervals, ReleaseEnvironment, RolloutController
from thale.release.controller.leader_election import FileLease
from thale.release.controller.metrics_scraper import MetricsScraper
from thale.release.controller.status import VersionCounts, rollout_status
from thale.release.judge.policy import read_policy
from thale.release.lifecycle import transitions
from thale.release.targets.update import author_now, update_release
from thale.schemas import Release
from thale.slo import read_slo
from thale.telemetry.controller_metrics import WATCHER

SLO, POLICY = read_slo(), read_policy()
STABLE, CANARY = "1.0.0", "1.1.0"


@dataclass
class ControllerHarness:
    """A model with a canary on trial, its facades, and a watcher that holds the lease."""

    folder: Path
    facades: list[FakeFacade]
    runner: asyncio.Runner
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.target = StateFileTarget(self.folder / "release-state.json")
        self.lease = FileLease(self.folder / "lease")
        self.target.put(
            transitions.start_canary(make_release(STABLE), make_version(CANARY), author_now("anna", "better"))
        )
        assert self.lease.acquire_or_renew()
        self.start_controller()

    def start_controller(self) -> None:
        """Put a new watcher in the place of the one before, and let it look once."""
        metrics_source = MetricsScraper([facade.url for facade in self.facades], timeout_s=30)
        environment = ReleaseEnvironment(
            self.target, metrics_source, self.lease, FileCheckpointStore(self.folder / "checkpoint.json")
        )
        self.controller = RolloutController(
            environment, SLO, POLICY, "watch", Intervals(checkpoint_s=0), now=lambda: self.now
        )
        self.poll()

    def poll(self) -> Release:
        """Let the watcher look once; return what is so then."""
        self.controller.poll(self.runner)
        return self.release

    @property
    def release(self) -> Release:
        return self.target.read(MODEL).release

    @property
    def canary_counts(self) -> VersionCounts | None:
        """What has been heard of the canary in this step."""
        checkpoint_store = FileCheckpointStore(self.folder / "checkpoint.json")
        return rollout_status({MODEL: self.release}, load_checkpoint(checkpoint_store)).models[0].canary_counts

    def apply_manually(self, transition: Callable[[Release], Release]) -> None:
        update_release(self.target, MODEL, transition)


@pytest.fixture
def facade() -> Iterator[FakeFacade]:
    with run_fake_facade() as running:
        yield running


@pytest.fixture
def harness(tmp_path: Path, facade: FakeFacade) -> Iterator[ControllerHarness]:
    with asyncio.Runner() as runner:
        harness = ControllerHarness(tmp_path, [facade], runner)
        yield harness
        harness.lease.release()


def count_responses(facade: FakeFacade, canary: int = 800, stable: int = 8000) -> None:
    """Count enough good answers for a step."""
    facade.count_responses(CANARY, canary)
    facade.count_responses(STABLE, stable)


def test_a_good_canary_goes_all_the_way_by_itself(harness: ControllerHarness, facade: FakeFacade) -> None:
    shares = []
    for _ in range(4):
        count_responses(facade)
        shares.append(harness.poll().weight_percent)
    assert shares == [25, 50, 100, 0]
    assert (harness.release.stable, harness.release.canary) == (CANARY, None)
    lines = harness.release.history[1:]
    assert [line.what for line in lines] == ["step", "step", "step", "promote"]
    assert all(line.who == "watch" and "without evidence of harm" in line.why for line in lines)


def test_a_bad_canary_is_taken_back_and_the_history_says_why(harness: ControllerHarness, facade: FakeFacade) -> None:
    facade.count_responses(STABLE, 1000)
    facade.count_fallbacks(CANARY, STABLE, 20)
    after = harness.poll()
    assert (after.canary, after.weight_percent, after.stable) == (None, 0, STABLE)
    assert (after.history[-1].what, after.history[-1].who) == ("roll back", "watch")
    assert "20 of 20" in after.history[-1].why


def test_no_traffic_moves_nothing_however_long_it_takes(harness: ControllerHarness) -> None:
    for _ in range(5):
        assert harness.poll().weight_percent == 5
    harness.now += timedelta(days=2)
    assert harness.poll().weight_percent == 5


def test_a_watcher_that_starts_in_the_middle_of_a_step_goes_on_there(
    harness: ControllerHarness, facade: FakeFacade
) -> None:
    count_responses(facade, 150, 1500)
    harness.poll()
    harness.start_controller()
    count_responses(facade, 100, 1000)
    harness.poll()
    assert harness.canary_counts == VersionCounts(requests=250, errors=0, fallbacks=0)
    harness.start_controller()
    count_responses(facade, 400, 4000)
    assert harness.poll().weight_percent == 25


def test_evidence_against_a_canary_outlives_restarts(harness: ControllerHarness, facade: FakeFacade) -> None:
    def looks(restarting: bool) -> int:
        """Return after how many looks at one failure each the canary is taken back."""
        for number in range(1, 100):
            facade.count_responses(STABLE, 200)
            facade.count_fallbacks(CANARY, STABLE, 1)
            if harness.poll().canary is None:
                return number
            if restarting:
                harness.start_controller()
        raise AssertionError("it is never taken back")

    needed = looks(restarting=False)
    assert needed > 1
    harness.apply_manually(
        lambda now: transitions.start_canary(
            now, make_version(CANARY), author_now("anna", "again"), allow_rolled_back=True
        )
    )
    harness.poll()
    assert looks(restarting=True) == needed


@pytest.mark.parametrize("lost", ["removed", "halved", "of another time"])
def test_lost_notes_begin_the_evidence_anew_and_skip_nothing(
    harness: ControllerHarness, facade: FakeFacade, lost: str
) -> None:
    count_responses(facade, 500, 5000)
    harness.poll()
    notes = harness.folder / "checkpoint.json"
    if lost == "removed":
        notes.unlink()
    elif lost == "halved":
        notes.write_bytes(notes.read_bytes()[:500])
    else:
        harness.apply_manually(lambda now: transitions.abort(now, author_now("anna", "wait")))
        harness.apply_manually(
            lambda now: transitions.start_canary(now, make_version(CANARY), author_now("anna", "now"))
        )
    harness.start_controller()
    count_responses(facade, 100, 1000)
    assert harness.poll().weight_percent == 5
    assert harness.canary_counts == VersionCounts(requests=100, errors=0, fallbacks=0)


def test_a_facade_that_starts_anew_is_counted_from_zero(harness: ControllerHarness, facade: FakeFacade) -> None:
    count_responses(facade, 100, 1000)
    harness.poll()
    facade.restart()
    count_responses(facade, 50, 500)
    harness.poll()
    assert harness.canary_counts == VersionCounts(requests=150, errors=0, fallbacks=0)


def test_a_facade_that_is_away_is_waited_for_and_then_heard(tmp_path: Path, facade: FakeFacade) -> None:
    with run_fake_facade() as other, asyncio.Runner() as runner:
        harness = ControllerHarness(tmp_path, [facade, other], runner)
        other.unreachable.set()
        count_responses(facade)
        assert harness.poll().weight_percent == 5
        assert b"thale_release_facades_unreachable 1.0" in generate_latest(WATCHER)
        assert list(load_checkpoint(FileCheckpointStore(tmp_path / "checkpoint.json")).unreachable_facades) == [
            other.url
        ]
        other.count_responses(CANARY, 7)
        other.unreachable.clear()
        facade.count_responses(CANARY, 1)
        assert harness.poll().weight_percent == 25
        assert b"thale_release_facades_unreachable 0.0" in generate_latest(WATCHER)
        harness.lease.release()


def test_a_bad_canary_is_taken_back_though_a_facade_is_away(tmp_path: Path, facade: FakeFacade) -> None:
    with run_fake_facade() as other, asyncio.Runner() as runner:
        harness = ControllerHarness(tmp_path, [facade, other], runner)
        other.unreachable.set()
        facade.count_responses(STABLE, 1000)
        facade.count_fallbacks(CANARY, STABLE, 20)
        assert harness.poll().canary is None
        harness.lease.release()


def test_without_any_facade_nothing_moves(tmp_path: Path, facade: FakeFacade, harness: ControllerHarness) -> None:
    count_responses(facade, 600, 6000)
    facade.unreachable.set()
    for _ in range(3):
        assert harness.poll().weight_percent == 5


def test_releases_that_cannot_be_read_are_waited_for_and_nothing_of_them_is_lost(
    harness: ControllerHarness, facade: FakeFacade
) -> None:
    harness.target.unreadable_marker.touch()
    for _ in range(4):
        count_responses(facade, 50, 500)
        harness.controller.poll(harness.runner)
    harness.target.unreadable_marker.unlink()
    harness.poll()
    assert harness.canary_counts == VersionCounts(requests=200, errors=0, fallbacks=0)


def test_a_rollout_that_a_person_ended_is_over(harness: ControllerHarness, facade: FakeFacade) -> None:
    count_responses(facade, 190, 1900)
    harness.poll()
    harness.apply_manually(lambda now: transitions.abort(now, ANNA))
    count_responses(facade)
    after = harness.poll()
    assert (after.canary, after.history[-1].what) == (None, "abort")


def test_a_canary_that_a_person_promoted_is_left_alone(harness: ControllerHarness, facade: FakeFacade) -> None:
    harness.apply_manually(lambda now: transitions.promote(now, ANNA))
    facade.count_fallbacks(CANARY, STABLE, 50)
    after = harness.poll()
    assert (after.stable, after.canary, after.history[-1].who) == (CANARY, None, "anna")


def test_a_step_by_hand_begins_the_window_of_its_step(harness: ControllerHarness, facade: FakeFacade) -> None:
    count_responses(facade, 400, 4000)
    harness.poll()
    harness.apply_manually(lambda now: transitions.step(now, ANNA))
    harness.poll()
    count_responses(facade, 10, 40)
    assert harness.poll().weight_percent == 25
    assert harness.canary_counts == VersionCounts(requests=10, errors=0, fallbacks=0)


def test_who_has_lost_the_lease_acts_no_more(harness: ControllerHarness, facade: FakeFacade) -> None:
    harness.lease.release()
    facade.count_responses(STABLE, 1000)
    facade.count_fallbacks(CANARY, STABLE, 100)
    assert harness.poll().canary == CANARY
    assert b"thale_release_leader 0.0" in generate_latest(WATCHER)
    assert harness.lease.acquire_or_renew()
    facade.count_fallbacks(CANARY, STABLE, 100)
    harness.poll()
    assert b"thale_release_leader 1.0" in generate_latest(WATCHER)


def test_a_lease_that_is_lost_between_judging_and_acting_stops_the_act(
    harness: ControllerHarness, facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    facade.count_responses(STABLE, 1000)
    facade.count_fallbacks(CANARY, STABLE, 100)
    held = iter([True])
    monkeypatch.setattr(harness.lease, "is_leader", lambda: next(held, False))
    assert harness.poll().canary == CANARY


def test_a_step_without_a_verdict_is_reported_once_and_left_alone(
    harness: ControllerHarness, facade: FakeFacade, caplog: pytest.LogCaptureFixture
) -> None:
    stuck = f'thale_release_stuck{{model="{MODEL}",version="{CANARY}"}} '.encode()
    count_responses(facade, 100, 1000)
    harness.poll()
    assert stuck + b"0.0" in generate_latest(WATCHER)
    harness.now += timedelta(hours=2)
    for _ in range(3):
        assert harness.poll().weight_percent == 5
    assert stuck + b"1.0" in generate_latest(WATCHER)
    assert [record.message for record in caplog.records].count("rollout is stuck") == 1
    count_responses(facade)
    assert harness.poll().weight_percent == 25
    harness.now = datetime.now(UTC)
    harness.poll()
    assert stuck + b"0.0" in generate_latest(WATCHER)


def test_the_metrics_tell_weights_verdicts_and_changes(harness: ControllerHarness, facade: FakeFacade) -> None:
    count_responses(facade)
    harness.poll()
    harness.poll()
    told = generate_latest(WATCHER).decode()
    for line in (
        f'thale_release_weight_ratio{{model="{MODEL}",version="{CANARY}"}} 0.25',
        f'thale_release_weight_ratio{{model="{MODEL}",version="{STABLE}"}} 0.75',
        f'thale_release_changes_total{{model="{MODEL}",version="{CANARY}",what="step"}}',
        f'thale_release_verdicts_total{{model="{MODEL}",verdict="promote",version="{CANARY}"}}',
    ):
        assert line in told


def test_two_models_are_watched_and_one_that_goes_is_forgotten(harness: ControllerHarness, facade: FakeFacade) -> None:
    card = make_version(CANARY, "plate-tips")
    other = transitions.start_canary(
        Release(task="segmentation", stable=STABLE, versions={STABLE: make_version(STABLE, "plate-tips")}), card, ANNA
    )
    harness.target.put(other)
    count_responses(facade)
    assert harness.poll().weight_percent == 25
    assert harness.target.read("plate-tips").release.weight_percent == 5
    assert b'model="plate-tips"' in generate_latest(WATCHER)
    harness.target.path.unlink()
    harness.target.put(scene_release := transitions.start_canary(make_release(STABLE), make_version(CANARY), ANNA))
    assert harness.poll() == scene_release
    assert b'weight_ratio{model="plate-tips"' not in generate_latest(WATCHER)


@contextmanager
def run_in_background(controller: RolloutController) -> Iterator[None]:
    """Let a watcher run by itself for as long as the context lasts."""
    stop = threading.Event()
    loop = threading.Thread(target=controller.run, args=(stop,), daemon=True)
    loop.start()
    try:
        yield
    finally:
        stop.set()
        loop.join(60)
        assert not loop.is_alive()


def test_the_loop_ends_when_it_is_told_to_and_lets_go_of_the_lease(harness: ControllerHarness) -> None:
    harness.lease.release()
    (harness.folder / "checkpoint.json").unlink()
    other = FileLease(harness.folder / "lease")
    with run_in_background(harness.controller):
        wait_for("notes", (harness.folder / "checkpoint.json").exists)
        assert not other.acquire_or_renew()
    assert other.acquire_or_renew()
    other.release()


def test_it_looks_no_more_often_than_it_should(harness: ControllerHarness, facade: FakeFacade) -> None:
    harness.lease.release()
    before, begun = facade.scrapes, time.monotonic()
    with run_in_background(harness.controller):
        wait_for("four looks", lambda: facade.scrapes >= before + 4)
    assert time.monotonic() - begun >= 3 * Intervals().poll_s


def test_it_can_end_when_no_version_is_on_trial(harness: ControllerHarness) -> None:
    harness.lease.release()
    harness.apply_manually(lambda now: transitions.abort(now, ANNA))
    harness.controller.run(threading.Event(), until_idle=True)
