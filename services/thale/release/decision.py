"""What a verdict leads to, and when it no longer may. Pure.

Harm is acted on at once, with what evidence there is; going forward takes the word of every facade, and a release that
is still the one that was judged.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from thale.contract import Change, Release, Verdict
from thale.errors import PlanError
from thale.release import plan
from thale.release.plan import Signature

Move = Literal["wait", "step", "promote", "roll back"]

_CHANGES: dict[Move, Callable[[Release, Signature], Release]] = {
    "step": plan.step,
    "promote": plan.promote,
    "roll back": plan.roll_back,
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


def rollout_began(release: Release) -> str:
    """Return when the canary's rollout began (ISO 8601), by the history; empty where that does not reach so far."""
    line = _last_line(release, ("canary",))
    return line.at if line is not None else ""


def step_began(release: Release) -> datetime | None:
    """Return when the canary got its present share, by the history; None where that does not reach so far."""
    line = _last_line(release, ("canary", "step"))
    return datetime.fromisoformat(line.at) if line is not None else None


def _last_line(release: Release, kinds: Sequence[str]) -> Change | None:
    lines = (line for line in reversed(release.history) if line.version == release.canary and line.what in kinds)
    return next(lines, None)
