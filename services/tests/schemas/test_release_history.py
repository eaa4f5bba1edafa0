"""Tests of the times in the history of a release."""

from tests.support.sample_releases import ANNA, make_release, make_version
from thale.release.lifecycle import transitions
from thale.release.lifecycle.transitions import Author
from thale.schemas.release_history import rollout_started_at, step_started_at


def test_history_returns_the_start_of_rollout_and_step() -> None:
    ben = Author(who="ben", why="manual", at="2026-11-21T12:20:00+00:00")
    release = transitions.step(transitions.start_canary(make_release(), make_version("1.1.0"), ANNA), ben)
    started_at = step_started_at(release)
    assert started_at is not None
    assert (rollout_started_at(release), started_at.isoformat()) == (ANNA.at, "2026-11-21T12:20:00+00:00")
    without_history = release.model_copy(update={"history": ()})
    assert (rollout_started_at(without_history), step_started_at(without_history)) == ("", None)
