"""What a release may become: every change is a pure function from a Release to the next one, with its line of history.

    canary ──▶ step ──▶ step ──▶ promote ──▶ (roll_back to the version before)
       └────────┴────────┴──▶ roll_back (the canary was bad)  or  abort (somebody called it off)

A change that makes no sense is refused with a PlanError that says what to do; nothing here reads a clock or a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from thale.errors import PlanError
from thale.schemas import Change, Release, ReleasedVersion

HISTORY_LIMIT = 50
"""Changes that a release keeps; the audit log keeps all."""

_What = Literal["canary", "step", "promote", "roll back", "abort", "shadow"]


@dataclass(frozen=True)
class Signature:
    """Who makes a change, why, and when (UTC, ISO 8601)."""

    who: str
    why: str
    at: str


def canary(
    release: Release,
    version: ReleasedVersion,
    signature: Signature,
    *,
    steps: Sequence[float] | None = None,
    shadow: bool = True,
    again: bool = False,
) -> Release:
    """Put a version on trial at the first step.

    Args:
        release: What is so now.
        version: The version to try.
        signature: Who, why, when.
        steps: The shares on the way, in percent; None keeps the release's.
        shadow: Whether requests that the stable version answers are mirrored to the canary as well.
        again: Whether a version that was rolled back may be tried once more.

    Raises:
        PlanError: If a rollout is going on, or this version is no candidate, or the steps are none.
    """
    name = version.card.version
    if release.canary is not None:
        raise PlanError(f"{release.name} {release.canary} is on trial already: promote it, roll it back or abort first")
    if name == release.stable:
        raise PlanError(f"{release.name} {name} is the stable version already")
    if not again and was_rolled_back(release, name):
        raise PlanError(f"{release.name} {name} was rolled back before: say that it is meant to be tried again")
    held = {**_without(release, release.shadow), name: version}
    shares = release.steps if steps is None else tuple(steps)
    changes = {"versions": held, "canary": name, "shadow": name if shadow else None, "steps": shares}
    return _changed(release, "canary", name, signature, weight_percent=next(iter(shares), 0.0), **changes)


def step(release: Release, signature: Signature) -> Release:
    """Give the canary the next larger share.

    Raises:
        PlanError: If there is no canary, or it answers everything already.
    """
    name = _canary_of(release)
    larger = [share for share in release.steps if share > release.weight_percent]
    if not larger:
        raise PlanError(f"{release.name} {name} answers {release.weight_percent:g} % already: promote it")
    return _changed(release, "step", name, signature, weight_percent=larger[0])


def promote(release: Release, signature: Signature) -> Release:
    """Make the canary the stable version, at whatever step it is; the version before is held no longer.

    Raises:
        PlanError: If there is no canary.
    """
    name = _canary_of(release)
    changes = {"stable": name, "versions": _without(release, release.stable), "canary": None, "shadow": None}
    return _changed(release, "promote", name, signature, weight_percent=0.0, **changes)


def roll_back(release: Release, signature: Signature, before: ReleasedVersion | None = None) -> Release:
    """Take a bad version away from the users: the canary, or else the stable version in favour of the one before.

    Args:
        release: What is so now.
        signature: Who, why, when.
        before: The version to return to where there is no canary; `version_before` names it.

    Raises:
        PlanError: If there is neither a canary nor a version to return to.
    """
    if release.canary is not None:
        return _without_canary(release, "roll back", signature)
    if before is None:
        raise PlanError(f"{release.name} has no canary to roll back and no version before {release.stable} is given")
    if before.card.version == release.stable:
        raise PlanError(f"{release.name} {release.stable} is the stable version already: name another to return to")
    bad, name = release.stable, before.card.version
    held = {**_without(release, bad, release.shadow), name: before}
    changes = {"stable": name, "versions": held, "shadow": None}
    return _changed(release, "roll back", bad, signature, weight_percent=0.0, **changes)


def abort(release: Release, signature: Signature) -> Release:
    """Call a rollout off without a word against the version: it may be tried again.

    Raises:
        PlanError: If there is no canary.
    """
    _canary_of(release)
    return _without_canary(release, "abort", signature)


def mirror(release: Release, version: ReleasedVersion | None, signature: Signature) -> Release:
    """Let a version see copies of the requests without answering any; None ends it.

    Raises:
        PlanError: If the version is the stable one, or a canary is on trial, or there is no shadow to end.
    """
    if release.canary is not None:
        raise PlanError(f"{release.name} {release.canary} is on trial: its shadow goes with it")
    if version is None:
        if release.shadow is None:
            raise PlanError(f"{release.name} has no shadow to end")
        held = _without(release, release.shadow)
        return _changed(release, "shadow", release.shadow, signature, versions=held, shadow=None)
    name = version.card.version
    held = {**_without(release, release.shadow), name: version}
    return _changed(release, "shadow", name, signature, versions=held, shadow=name)


def was_rolled_back(release: Release, version: str) -> bool:
    """Whether the last word of the history on a version is that it was taken back."""
    words = [change.what for change in release.history if change.version == version]
    return bool(words) and words[-1] == "roll back"


def version_before(release: Release) -> str | None:
    """Return the stable version before this one, as far as the history reaches and if it was not taken back itself."""
    stables = [change.stable for change in release.history]
    earlier = [name for name in stables if name != release.stable and not was_rolled_back(release, name)]
    return earlier[-1] if earlier else None


def _canary_of(release: Release) -> str:
    if release.canary is None:
        raise PlanError(f"{release.name} has no canary: start one first")
    return release.canary


def _without_canary(release: Release, what: _What, signature: Signature) -> Release:
    name = _canary_of(release)
    shadow = release.shadow if release.shadow != name else None
    changes = {"versions": _without(release, name), "canary": None, "shadow": shadow}
    return _changed(release, what, name, signature, weight_percent=0.0, **changes)


def _without(release: Release, *names: str | None) -> dict[str, ReleasedVersion]:
    return {name: version for name, version in release.versions.items() if name not in names}


def _changed(release: Release, what: _What, version: str, signature: Signature, **changes: object) -> Release:
    """Return the changed release with a line of history, checked as if it had been read from a file."""
    after = {**dict(release), **changes}
    line = Change(
        at=signature.at,
        who=signature.who,
        what=what,
        why=signature.why,
        version=version,
        stable=str(after["stable"]),
        weight_percent=float(after["weight_percent"]),
    )
    after["history"] = (*release.history, line)[-HISTORY_LIMIT:]
    try:
        return Release.model_validate(after)
    except ValidationError as error:
        faults = "; ".join(fault["msg"].removeprefix("Value error, ") for fault in error.errors())
        raise PlanError(f"{release.name} cannot become this: {faults}") from error
