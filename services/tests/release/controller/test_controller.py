"""Decisions of the rollout controller with the real judge, real files, and fake facades."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from tests.support.controller_harness import CANARY, STABLE, ControllerHarness, count_responses
from tests.support.fake_facade import MODEL, FakeFacade, run_fake_facade
from tests.support.sample_releases import ANNA, make_release, make_version
from thale.release.controller.checkpoint import FileCheckpointStore, load_checkpoint
from thale.release.copies.copier import ReleaseCopier
from thale.release.copies.release_copies import ReleaseCopies
from thale.release.lifecycle import transitions
from thale.release.registry.stores import FolderStore
from thale.release.targets.update import author_now
from thale.schemas import Release
from thale.schemas.release_status import VersionCounts
from thale.telemetry.controller_metrics import CONTROLLER_REGISTRY


def test_controller_promotes_a_good_canary_in_steps(harness: ControllerHarness, facade: FakeFacade) -> None:
    weights = []
    for _ in range(4):
        count_responses(facade)
        weights.append(harness.poll().weight_percent)
    assert weights == [25, 50, 100, 0]
    assert (harness.release.stable, harness.release.canary) == (CANARY, None)
    events = harness.release.history[1:]
    assert [event.what for event in events] == ["step", "step", "step", "promote"]
    assert all(event.who == "controller" and "no evidence of regression" in event.why for event in events)


def test_controller_rolls_back_a_bad_canary_with_the_reason(harness: ControllerHarness, facade: FakeFacade) -> None:
    facade.count_responses(STABLE, 1000)
    facade.count_fallbacks(CANARY, STABLE, 20)
    after = harness.poll()
    assert (after.canary, after.weight_percent, after.stable) == (None, 0, STABLE)
    assert (after.history[-1].what, after.history[-1].who) == ("roll back", "controller")
    assert "20 of 20" in after.history[-1].why


def test_controller_waits_without_traffic(harness: ControllerHarness) -> None:
    for _ in range(5):
        assert harness.poll().weight_percent == 5
    harness.now += timedelta(days=2)
    assert harness.poll().weight_percent == 5


def test_controller_resumes_in_the_middle_of_a_step(harness: ControllerHarness, facade: FakeFacade) -> None:
    count_responses(facade, 150, 1500)
    harness.poll()
    harness.start_controller()
    count_responses(facade, 100, 1000)
    harness.poll()
    assert harness.canary_counts == VersionCounts(requests=250, errors=0, fallbacks=0)
    harness.start_controller()
    count_responses(facade, 400, 4000)
    assert harness.poll().weight_percent == 25


def test_controller_keeps_evidence_over_restarts(harness: ControllerHarness, facade: FakeFacade) -> None:
    def polls_to_rollback(restarting: bool) -> int:
        """Return the number of polls, with one failure each, until the rollback."""
        for number in range(1, 100):
            facade.count_responses(STABLE, 200)
            facade.count_fallbacks(CANARY, STABLE, 1)
            if harness.poll().canary is None:
                return number
            if restarting:
                harness.start_controller()
        raise AssertionError("no rollback after 99 failures")

    expected = polls_to_rollback(restarting=False)
    assert expected > 1
    harness.apply_manually(
        lambda now: transitions.start_canary(
            now, make_version(CANARY), author_now("anna", "again"), allow_rolled_back=True
        )
    )
    harness.poll()
    assert polls_to_rollback(restarting=True) == expected


@pytest.mark.parametrize("loss", ["removed", "truncated", "outdated"])
def test_controller_restarts_the_step_without_a_checkpoint(
    harness: ControllerHarness, facade: FakeFacade, loss: str
) -> None:
    count_responses(facade, 500, 5000)
    harness.poll()
    checkpoint = harness.folder / "checkpoint.json"
    if loss == "removed":
        checkpoint.unlink()
    elif loss == "truncated":
        checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    else:
        harness.apply_manually(lambda now: transitions.abort(now, author_now("anna", "wait")))
        harness.apply_manually(
            lambda now: transitions.start_canary(now, make_version(CANARY), author_now("anna", "now"))
        )
    harness.start_controller()
    count_responses(facade, 100, 1000)
    assert harness.poll().weight_percent == 5
    assert harness.canary_counts == VersionCounts(requests=100, errors=0, fallbacks=0)


def test_controller_counts_a_restarted_facade_from_zero(harness: ControllerHarness, facade: FakeFacade) -> None:
    count_responses(facade, 100, 1000)
    harness.poll()
    facade.restart()
    count_responses(facade, 50, 500)
    harness.poll()
    assert harness.canary_counts == VersionCounts(requests=150, errors=0, fallbacks=0)


def test_controller_waits_for_an_unreachable_facade(tmp_path: Path, facade: FakeFacade) -> None:
    with run_fake_facade() as other, asyncio.Runner() as runner:
        harness = ControllerHarness(tmp_path, [facade, other], runner)
        other.unreachable.set()
        count_responses(facade)
        assert harness.poll().weight_percent == 5
        assert b"thale_release_facades_unreachable 1.0" in generate_latest(CONTROLLER_REGISTRY)
        assert list(load_checkpoint(FileCheckpointStore(tmp_path / "checkpoint.json")).unreachable_facades) == [
            other.url
        ]
        other.count_responses(CANARY, 7)
        other.unreachable.clear()
        facade.count_responses(CANARY, 1)
        assert harness.poll().weight_percent == 25
        assert b"thale_release_facades_unreachable 0.0" in generate_latest(CONTROLLER_REGISTRY)
        harness.lease.release()


def test_controller_rolls_back_with_an_unreachable_facade(tmp_path: Path, facade: FakeFacade) -> None:
    with run_fake_facade() as other, asyncio.Runner() as runner:
        harness = ControllerHarness(tmp_path, [facade, other], runner)
        other.unreachable.set()
        facade.count_responses(STABLE, 1000)
        facade.count_fallbacks(CANARY, STABLE, 20)
        assert harness.poll().canary is None
        harness.lease.release()


def test_controller_waits_without_any_facade(tmp_path: Path, facade: FakeFacade, harness: ControllerHarness) -> None:
    count_responses(facade, 600, 6000)
    facade.unreachable.set()
    for _ in range(3):
        assert harness.poll().weight_percent == 5


def test_controller_keeps_counts_while_releases_are_unreadable(harness: ControllerHarness, facade: FakeFacade) -> None:
    harness.target.unreadable_marker.touch()
    for _ in range(4):
        count_responses(facade, 50, 500)
        harness.controller.poll(harness.runner)
    harness.target.unreadable_marker.unlink()
    harness.poll()
    assert harness.canary_counts == VersionCounts(requests=200, errors=0, fallbacks=0)


def test_controller_accepts_a_manual_abort(harness: ControllerHarness, facade: FakeFacade) -> None:
    count_responses(facade, 190, 1900)
    harness.poll()
    harness.apply_manually(lambda now: transitions.abort(now, ANNA))
    count_responses(facade)
    after = harness.poll()
    assert (after.canary, after.history[-1].what) == (None, "abort")


def test_controller_accepts_a_manual_promotion(harness: ControllerHarness, facade: FakeFacade) -> None:
    harness.apply_manually(lambda now: transitions.promote(now, ANNA))
    facade.count_fallbacks(CANARY, STABLE, 50)
    after = harness.poll()
    assert (after.stable, after.canary, after.history[-1].who) == (CANARY, None, "anna")


def test_controller_starts_a_new_window_after_a_manual_step(harness: ControllerHarness, facade: FakeFacade) -> None:
    count_responses(facade, 400, 4000)
    harness.poll()
    harness.apply_manually(lambda now: transitions.step(now, ANNA))
    harness.poll()
    count_responses(facade, 10, 40)
    assert harness.poll().weight_percent == 25
    assert harness.canary_counts == VersionCounts(requests=10, errors=0, fallbacks=0)


def test_controller_reports_a_stuck_step_once(
    harness: ControllerHarness, facade: FakeFacade, caplog: pytest.LogCaptureFixture
) -> None:
    stuck = f'thale_release_stuck{{model="{MODEL}",version="{CANARY}"}} '.encode()
    count_responses(facade, 100, 1000)
    harness.poll()
    assert stuck + b"0.0" in generate_latest(CONTROLLER_REGISTRY)
    harness.now += timedelta(hours=2)
    for _ in range(3):
        assert harness.poll().weight_percent == 5
    assert stuck + b"1.0" in generate_latest(CONTROLLER_REGISTRY)
    assert [record.message for record in caplog.records].count("rollout is stuck") == 1
    count_responses(facade)
    assert harness.poll().weight_percent == 25
    harness.now = datetime.now(UTC)
    harness.poll()
    assert stuck + b"0.0" in generate_latest(CONTROLLER_REGISTRY)


def test_controller_exports_weights_verdicts_and_changes(harness: ControllerHarness, facade: FakeFacade) -> None:
    count_responses(facade)
    harness.poll()
    harness.poll()
    text = generate_latest(CONTROLLER_REGISTRY).decode()
    for line in (
        f'thale_release_weight_ratio{{model="{MODEL}",version="{CANARY}"}} 0.25',
        f'thale_release_weight_ratio{{model="{MODEL}",version="{STABLE}"}} 0.75',
        f'thale_release_changes_total{{model="{MODEL}",version="{CANARY}",what="step"}}',
        f'thale_release_verdicts_total{{model="{MODEL}",verdict="promote",version="{CANARY}"}}',
    ):
        assert line in text


def test_controller_handles_two_models_and_removes_one(harness: ControllerHarness, facade: FakeFacade) -> None:
    canary = make_version(CANARY, "plate-tips")
    other = transitions.start_canary(
        Release(task="segmentation", stable=STABLE, versions={STABLE: make_version(STABLE, "plate-tips")}), canary, ANNA
    )
    harness.target.put(other)
    count_responses(facade)
    assert harness.poll().weight_percent == 25
    assert harness.target.read("plate-tips").release.weight_percent == 5
    assert b'model="plate-tips"' in generate_latest(CONTROLLER_REGISTRY)
    harness.target.path.unlink()
    harness.target.put(expected := transitions.start_canary(make_release(STABLE), make_version(CANARY), ANNA))
    assert harness.poll() == expected
    assert b'weight_ratio{model="plate-tips"' not in generate_latest(CONTROLLER_REGISTRY)


def test_controller_ignores_a_release_it_has_just_changed(harness: ControllerHarness, facade: FakeFacade) -> None:
    """A watch may return the previous release for a moment after a change."""
    before = harness.release
    count_responses(facade)
    assert harness.poll().weight_percent == 25
    after = harness.release
    harness.target.put(before)
    count_responses(facade)
    assert harness.poll() == before
    harness.target.put(after)
    assert harness.poll().weight_percent == 50


def test_only_the_leader_copies_releases(harness: ControllerHarness) -> None:
    harness.copier = ReleaseCopier(ReleaseCopies(FolderStore(harness.folder / "copies")))
    harness.start_controller()
    assert [*harness.copier._pending] == [MODEL]
    harness.lease.release()
    harness.poll()
    assert not harness.copier._pending
