"""Pure functions from a verdict to an action, and from an action to a guarded transition.

A rollback happens immediately, even with incomplete data. A step or a promotion needs the counters of every facade, and
a release that has not changed since it was judged.
"""

from collections.abc import Callable
from typing import Literal

from thale.errors import InvalidTransitionError
from thale.release.lifecycle import transitions
from thale.release.lifecycle.transitions import Author
from thale.schemas import Release, Verdict
from thale.schemas.release_history import rollout_started_at

Action = Literal["wait", "step", "promote", "roll back"]

_TRANSITIONS: dict[Action, Callable[[Release, Author], Release]] = {
    "step": transitions.step,
    "promote": transitions.promote,
    "roll back": transitions.roll_back,
}


def decide(release: Release, verdict: Verdict, *, all_facades_scraped: bool) -> Action:
    """Return the action for a verdict on a release's canary.

    Args:
        release: The judged release.
        verdict: The verdict of the judge.
        all_facades_scraped: Whether the verdict includes the counters of every facade.
    """
    if verdict.decision == "roll back":
        return "roll back"
    if verdict.decision == "promote" and all_facades_scraped:
        return "step" if release.weight_percent < release.steps[-1] else "promote"
    return "wait"


def guarded_transition(
    action: Action, judged_release: Release, author: Author, is_leader: Callable[[], bool]
) -> Callable[[Release], Release]:
    """Return the transition of an action, with checks at the time of the change.

    The transition raises an InvalidTransitionError if this process is no longer the leader, or if the release has
    changed since it was judged. A rollback only requires the same rollout: a manual step does not protect a bad canary.
    """

    def apply_transition(current: Release) -> Release:
        if not is_leader():
            raise InvalidTransitionError(f"{current.name} is not changed: this controller is no longer the leader")
        same_rollout = (current.canary, rollout_started_at(current)) == (
            judged_release.canary,
            rollout_started_at(judged_release),
        )
        if not same_rollout or (action != "roll back" and current.history != judged_release.history):
            raise InvalidTransitionError(f"{current.name} changed since it was judged: the next poll judges it again")
        return _TRANSITIONS[action](current, author)

    return apply_transition
