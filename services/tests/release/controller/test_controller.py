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

from tests.support.fake_facade import MODEL, PaperFacade, paper_facade
from tests.support.local_platform import wait_for
from tests.support.sample_releases import ANNA, release, version
from tests.support.state_file_target import RecordActuator
from thale.release.controller.checkpoint import FileNotes, read_page
from thale.release.controller.controller import Pace, Place, Watcher
from thale.release.controller.leader_election import FileLease
from thale.release.controller.metrics_scraper import Facades
from thale.release.controller.status import Heard, status_of
from thale.release.lifecycle import transitions
from thale.release.targets.update import change, sign
from thale.schemas import Release
from thale.slo import read_slo
from thale.telemetry.controller_metrics import WATCHER

SLO = read_slo()
STABLE, CANARY = "1.0.0", "1.1.0"


@dataclass
class Scene:
    """A model with a canary on trial, its facades, and a watcher that holds the lease."""

    folder: Path
    facades: list[PaperFacade]
    runner: asyncio.Runner
    today: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.actuator = RecordActuator(self.folder / "record.json")
        self.lease = FileLease(self.folder / "lease")
        self.actuator.put(transitions.canary(release(STABLE), version(CANARY), sign("anna", "better")))
        assert self.lease.keep()
        self.start_watcher()

    def start_watcher(self) -> None:
        """Put a new watcher in the place of the one before, and let it look once."""
        counters = Facades([facade.url for facade in self.facades], timeout_s=30)
        place = Place(self.actuator, counters, self.lease, FileNotes(self.folder / "notes.json"))
        self.watcher = Watcher(place, SLO, "watch", Pace(save_s=0), today=lambda: self.today)
        self.look()

    def look(self) -> Release:
        """Let the watcher look once; return what is so then."""
        self.watcher.poll(self.runner)
        return self.release

    @property
    def release(self) -> Release:
        return self.actuator.read(MODEL).release

    @property
    def heard(self) -> Heard | None:
        """What has been heard of the canary in this step."""
        notes = FileNotes(self.folder / "notes.json")
        return status_of({MODEL: self.release}, read_page(notes)).models[0].canary_heard

    def by_hand(self, planned: Callable[[Release], Release]) -> None:
        change(self.actuator, MODEL, planned)


@pytest.fixture
def facade() -> Iterator[PaperFacade]:
    with paper_facade() as running:
        yield running


@pytest.fixture
def scene(tmp_path: Path, facade: PaperFacade) -> Iterator[Scene]:
    with asyncio.Runner() as runner:
        scene = Scene(tmp_path, [facade], runner)
        yield scene
        scene.lease.let_go()


def answers(facade: PaperFacade, canary: int = 800, stable: int = 8000) -> None:
    """Count enough good answers for a step."""
    facade.answer(CANARY, canary)
    facade.answer(STABLE, stable)


def test_a_good_canary_goes_all_the_way_by_itself(scene: Scene, facade: PaperFacade) -> None:
    shares = []
    for _ in range(4):
        answers(facade)
        shares.append(scene.look().weight_percent)
    assert shares == [25, 50, 100, 0]
    assert (scene.release.stable, scene.release.canary) == (CANARY, None)
    lines = scene.release.history[1:]
    assert [line.what for line in lines] == ["step", "step", "step", "promote"]
    assert all(line.who == "watch" and "without evidence of harm" in line.why for line in lines)


def test_a_bad_canary_is_taken_back_and_the_history_says_why(scene: Scene, facade: PaperFacade) -> None:
    facade.answer(STABLE, 1000)
    facade.fail(CANARY, STABLE, 20)
    after = scene.look()
    assert (after.canary, after.weight_percent, after.stable) == (None, 0, STABLE)
    assert (after.history[-1].what, after.history[-1].who) == ("roll back", "watch")
    assert "20 of 20" in after.history[-1].why


def test_no_traffic_moves_nothing_however_long_it_takes(scene: Scene) -> None:
    for _ in range(5):
        assert scene.look().weight_percent == 5
    scene.today += timedelta(days=2)
    assert scene.look().weight_percent == 5


def test_a_watcher_that_starts_in_the_middle_of_a_step_goes_on_there(scene: Scene, facade: PaperFacade) -> None:
    answers(facade, 150, 1500)
    scene.look()
    scene.start_watcher()
    answers(facade, 100, 1000)
    scene.look()
    assert scene.heard == Heard(requests=250, errors=0, fallbacks=0)
    scene.start_watcher()
    answers(facade, 400, 4000)
    assert scene.look().weight_percent == 25


def test_evidence_against_a_canary_outlives_restarts(scene: Scene, facade: PaperFacade) -> None:
    def looks(restarting: bool) -> int:
        """Return after how many looks at one failure each the canary is taken back."""
        for number in range(1, 100):
            facade.answer(STABLE, 200)
            facade.fail(CANARY, STABLE, 1)
            if scene.look().canary is None:
                return number
            if restarting:
                scene.start_watcher()
        raise AssertionError("it is never taken back")

    needed = looks(restarting=False)
    assert needed > 1
    scene.by_hand(lambda now: transitions.canary(now, version(CANARY), sign("anna", "again"), again=True))
    scene.look()
    assert looks(restarting=True) == needed


@pytest.mark.parametrize("lost", ["removed", "halved", "of another time"])
def test_lost_notes_begin_the_evidence_anew_and_skip_nothing(scene: Scene, facade: PaperFacade, lost: str) -> None:
    answers(facade, 500, 5000)
    scene.look()
    notes = scene.folder / "notes.json"
    if lost == "removed":
        notes.unlink()
    elif lost == "halved":
        notes.write_bytes(notes.read_bytes()[:500])
    else:
        scene.by_hand(lambda now: transitions.abort(now, sign("anna", "wait")))
        scene.by_hand(lambda now: transitions.canary(now, version(CANARY), sign("anna", "now")))
    scene.start_watcher()
    answers(facade, 100, 1000)
    assert scene.look().weight_percent == 5
    assert scene.heard == Heard(requests=100, errors=0, fallbacks=0)


def test_a_facade_that_starts_anew_is_counted_from_zero(scene: Scene, facade: PaperFacade) -> None:
    answers(facade, 100, 1000)
    scene.look()
    facade.restart()
    answers(facade, 50, 500)
    scene.look()
    assert scene.heard == Heard(requests=150, errors=0, fallbacks=0)


def test_a_facade_that_is_away_is_waited_for_and_then_heard(tmp_path: Path, facade: PaperFacade) -> None:
    with paper_facade() as other, asyncio.Runner() as runner:
        scene = Scene(tmp_path, [facade, other], runner)
        other.away.set()
        answers(facade)
        assert scene.look().weight_percent == 5
        assert b"thale_release_facades_away 1.0" in generate_latest(WATCHER)
        assert list(read_page(FileNotes(tmp_path / "notes.json")).away) == [other.url]
        other.answer(CANARY, 7)
        other.away.clear()
        facade.answer(CANARY, 1)
        assert scene.look().weight_percent == 25
        assert b"thale_release_facades_away 0.0" in generate_latest(WATCHER)
        scene.lease.let_go()


def test_a_bad_canary_is_taken_back_though_a_facade_is_away(tmp_path: Path, facade: PaperFacade) -> None:
    with paper_facade() as other, asyncio.Runner() as runner:
        scene = Scene(tmp_path, [facade, other], runner)
        other.away.set()
        facade.answer(STABLE, 1000)
        facade.fail(CANARY, STABLE, 20)
        assert scene.look().canary is None
        scene.lease.let_go()


def test_without_any_facade_nothing_moves(tmp_path: Path, facade: PaperFacade, scene: Scene) -> None:
    answers(facade, 600, 6000)
    facade.away.set()
    for _ in range(3):
        assert scene.look().weight_percent == 5


def test_releases_that_cannot_be_read_are_waited_for_and_nothing_of_them_is_lost(
    scene: Scene, facade: PaperFacade
) -> None:
    scene.actuator.away.touch()
    for _ in range(4):
        answers(facade, 50, 500)
        scene.watcher.poll(scene.runner)
    scene.actuator.away.unlink()
    scene.look()
    assert scene.heard == Heard(requests=200, errors=0, fallbacks=0)


def test_a_rollout_that_a_person_ended_is_over(scene: Scene, facade: PaperFacade) -> None:
    answers(facade, 190, 1900)
    scene.look()
    scene.by_hand(lambda now: transitions.abort(now, ANNA))
    answers(facade)
    after = scene.look()
    assert (after.canary, after.history[-1].what) == (None, "abort")


def test_a_canary_that_a_person_promoted_is_left_alone(scene: Scene, facade: PaperFacade) -> None:
    scene.by_hand(lambda now: transitions.promote(now, ANNA))
    facade.fail(CANARY, STABLE, 50)
    after = scene.look()
    assert (after.stable, after.canary, after.history[-1].who) == (CANARY, None, "anna")


def test_a_step_by_hand_begins_the_window_of_its_step(scene: Scene, facade: PaperFacade) -> None:
    answers(facade, 400, 4000)
    scene.look()
    scene.by_hand(lambda now: transitions.step(now, ANNA))
    scene.look()
    answers(facade, 10, 40)
    assert scene.look().weight_percent == 25
    assert scene.heard == Heard(requests=10, errors=0, fallbacks=0)


def test_who_has_lost_the_lease_acts_no_more(scene: Scene, facade: PaperFacade) -> None:
    scene.lease.let_go()
    facade.answer(STABLE, 1000)
    facade.fail(CANARY, STABLE, 100)
    assert scene.look().canary == CANARY
    assert b"thale_release_leader 0.0" in generate_latest(WATCHER)
    assert scene.lease.keep()
    facade.fail(CANARY, STABLE, 100)
    scene.look()
    assert b"thale_release_leader 1.0" in generate_latest(WATCHER)


def test_a_lease_that_is_lost_between_judging_and_acting_stops_the_act(
    scene: Scene, facade: PaperFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    facade.answer(STABLE, 1000)
    facade.fail(CANARY, STABLE, 100)
    held = iter([True])
    monkeypatch.setattr(scene.lease, "held", lambda: next(held, False))
    assert scene.look().canary == CANARY


def test_a_step_without_a_verdict_is_reported_once_and_left_alone(
    scene: Scene, facade: PaperFacade, caplog: pytest.LogCaptureFixture
) -> None:
    stuck = f'thale_release_stuck{{model="{MODEL}",version="{CANARY}"}} '.encode()
    answers(facade, 100, 1000)
    scene.look()
    assert stuck + b"0.0" in generate_latest(WATCHER)
    scene.today += timedelta(hours=2)
    for _ in range(3):
        assert scene.look().weight_percent == 5
    assert stuck + b"1.0" in generate_latest(WATCHER)
    assert [record.message for record in caplog.records].count("rollout is stuck") == 1
    answers(facade)
    assert scene.look().weight_percent == 25
    scene.today = datetime.now(UTC)
    scene.look()
    assert stuck + b"0.0" in generate_latest(WATCHER)


def test_the_metrics_tell_weights_verdicts_and_changes(scene: Scene, facade: PaperFacade) -> None:
    answers(facade)
    scene.look()
    scene.look()
    told = generate_latest(WATCHER).decode()
    for line in (
        f'thale_release_weight_percent{{model="{MODEL}",version="{CANARY}"}} 25.0',
        f'thale_release_weight_percent{{model="{MODEL}",version="{STABLE}"}} 75.0',
        f'thale_release_changes_total{{model="{MODEL}",version="{CANARY}",what="step"}}',
        f'thale_release_verdicts_total{{model="{MODEL}",verdict="promote",version="{CANARY}"}}',
    ):
        assert line in told


def test_two_models_are_watched_and_one_that_goes_is_forgotten(scene: Scene, facade: PaperFacade) -> None:
    card = version(CANARY, "plate-tips")
    other = transitions.canary(
        Release(task="segmentation", stable=STABLE, versions={STABLE: version(STABLE, "plate-tips")}), card, ANNA
    )
    scene.actuator.put(other)
    answers(facade)
    assert scene.look().weight_percent == 25
    assert scene.actuator.read("plate-tips").release.weight_percent == 5
    assert b'model="plate-tips"' in generate_latest(WATCHER)
    scene.actuator.path.unlink()
    scene.actuator.put(scene_release := transitions.canary(release(STABLE), version(CANARY), ANNA))
    assert scene.look() == scene_release
    assert b'weight_percent{model="plate-tips"' not in generate_latest(WATCHER)


@contextmanager
def running(watcher: Watcher) -> Iterator[None]:
    """Let a watcher run by itself for as long as the context lasts."""
    ending = threading.Event()
    loop = threading.Thread(target=watcher.run, args=(ending,), daemon=True)
    loop.start()
    try:
        yield
    finally:
        ending.set()
        loop.join(60)
        assert not loop.is_alive()


def test_the_loop_ends_when_it_is_told_to_and_lets_go_of_the_lease(scene: Scene) -> None:
    scene.lease.let_go()
    (scene.folder / "notes.json").unlink()
    other = FileLease(scene.folder / "lease")
    with running(scene.watcher):
        wait_for("notes", (scene.folder / "notes.json").exists)
        assert not other.keep()
    assert other.keep()
    other.let_go()


def test_it_looks_no_more_often_than_it_should(scene: Scene, facade: PaperFacade) -> None:
    scene.lease.let_go()
    before, begun = facade.asked, time.monotonic()
    with running(scene.watcher):
        wait_for("four looks", lambda: facade.asked >= before + 4)
    assert time.monotonic() - begun >= 3 * Pace().poll_s


def test_it_can_end_when_no_version_is_on_trial(scene: Scene) -> None:
    scene.lease.let_go()
    scene.by_hand(lambda now: transitions.abort(now, ANNA))
    scene.watcher.run(threading.Event(), until_idle=True)
