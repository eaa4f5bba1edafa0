"""What a verdict leads to, and when it no longer may. Pure.

Harm is acted on at once, with what evidence there is; going forward takes the word of every facade, and a release that
is still the one that was judged.
"""

from collections.abc import Callable
from typing import Literal

from thale.errors import PlanError
from thale.release.lifecycle import transitions
from thale.release.lifecycle.history import rollout_began
from thale.release.lifecycle.transitions import Signature
from thale.schemas import Release, Verdict

Move = Literal["wait", "step", "promote", "roll back"]

_CHANGES: dict[Move, Callable[[Release, Signature], Release]] = {
    "step": transitions.step,
    "promote": transitions.promote,
    "roll back": transitions.roll_back,
}


def decide(release: Release, verdict: Verdict, *, everything_heard: bool) -> Move:
    """Return what to do about a verdict on a release's canary.

    Args:
        release: What was judged.
        verdict: What the judge says.
        everything_heard: Whether the counters of every facade are in it.
    """
    if verdict.decision == "roll back":
        return "roll back"
    if verdict.decision == "promote" and everything_heard:
        return "step" if release.weight_percent < release.steps[-1] else "promote"
    return "wait"


def planned(
    move: Move, judged: Release, signature: Signature, leads: Callable[[], bool]
) -> Callable[[Release], Release]:
    """Return a move as a change of the release as it will be when the change is made.

    The change raises a PlanError where this process leads no more, or where somebody changed the release since it was
    judged. A bad canary is taken back all the same as long as it is the same rollout: a step by hand does not save it.
    """

    def change_of(now: Release) -> Release:
        if not leads():
            raise PlanError(f"{now.name} is left alone: another watcher may lead by now")
        same_rollout = (now.canary, rollout_began(now)) == (judged.canary, rollout_began(judged))
        if not same_rollout or (move != "roll back" and now.history != judged.history):
            raise PlanError(f"{now.name} was changed since it was judged: it will be judged anew")
        return _CHANGES[move](now, signature)

    return change_of






