"""What a verdict leads to, and when it no longer may. Pure.

Harm is acted on at once, with what evidence there is; going forward takes the word of every facade, and a release that
is still the one that was judged.
"""

from collections.abc import Callable
from typing import Literal

from thale.errors import InvalidTransitionError
from thale.release.lifecycle import transitions
from thale.release.lifecycle.history import rollout_started_at
from thale.release.lifecycle.transitions import Author
from thale.schemas import Release, Verdict

Action = Literal["wait", "step", "promote", "roll back"]

_TRANSITIONS: dict[Action, Callable[[Release, Author], Release]] = {
    "step": transitions.step,
    "promote": transitions.promote,
    "roll back": transitions.roll_back,
}


def decide(release: Release, verdict: Verdict, *, all_facades_scraped: bool) -> Action:
    """Return what to do about a verdict on a release's canary.

    Args:
        release: What was judged.
        verdict: What the judge says.
        everything_heard: Whether the counters of every facade are in it.
    """
    if verdict.decision == "roll back":
        return "roll back"
    if verdict.decision == "promote" and all_facades_scraped:
        return "step" if release.weight_percent < release.steps[-1] else "promote"
    return "wait"


def guarded_transition(
    action: Action, judged_release: Release, author: Author, is_leader: Callable[[], bool]
) -> Callable[[Release], Release]:
    """Return a move as a change of the release as it will be when the change is made.

    The change raises a PlanError where this process leads no more, or where somebody changed the release since it was
    judged. A bad canary is taken back all the same as long as it is the same rollout: a step by hand does not save it.
    """

    def apply_transition(current: Release) -> Release:
        if not is_leader():
            raise InvalidTransitionError(f"{current.name} is left alone: another watcher may lead by now")
        same_rollout = (current.canary, rollout_started_at(current)) == (
            judged_release.canary,
            rollout_started_at(judged_release),
        )
        if not same_rollout or (action != "roll back" and current.history != judged_release.history):
            raise InvalidTransitionError(f"{current.name} was changed since it was judged: it will be judged anew")
        return _TRANSITIONS[action](current, author)

    return apply_transition
