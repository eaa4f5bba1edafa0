"""What a release may become: every change is a pure function from a Release to the next one, with its line of history.

    canary ──▶ step ──▶ step ──▶ promote ──▶ (roll_back to the version before)
       └────────┴────────┴──▶ roll_back (the canary was bad)  or  abort (somebody called it off)

A change that makes no sense is refused with a PlanError that says what to do; nothing here reads a clock or a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from thale.errors import InvalidTransitionError, describe_validation_error
from thale.schemas import Release, ReleaseEvent, VersionManifest

HISTORY_LIMIT = 50
"""Changes that a release keeps; the audit log keeps all."""

_EventKind = Literal["canary", "step", "promote", "roll back", "abort", "shadow"]


@dataclass(frozen=True)
class Author:
    """Who makes a change, why, and when (UTC, ISO 8601)."""

    who: str
    why: str
    at: str


def start_canary(
    release: Release,
    version: VersionManifest,
    author: Author,
    *,
    steps: Sequence[float] | None = None,
    shadow: bool = True,
    allow_rolled_back: bool = False,
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
        InvalidTransitionError: If a rollout is going on, or this version is no candidate, or the steps are none.
    """
    name = version.card.version
    if release.canary is not None:
        raise InvalidTransitionError(
            f"{release.name} {release.canary} is on trial already: promote it, roll it back or abort first"
        )
    if name == release.stable:
        raise InvalidTransitionError(f"{release.name} {name} is the stable version already")
    if not allow_rolled_back and was_rolled_back(release, name):
        raise InvalidTransitionError(
            f"{release.name} {name} was rolled back before: say that it is meant to be tried again"
        )
    versions = {**_drop_versions(release, release.shadow), name: version}
    new_steps = release.steps if steps is None else tuple(steps)
    changes = {"versions": versions, "canary": name, "shadow": name if shadow else None, "steps": new_steps}
    return _apply_changes(release, "canary", name, author, weight_percent=next(iter(new_steps), 0.0), **changes)


def step(release: Release, author: Author) -> Release:
    """Give the canary the next larger share.

    Raises:
        InvalidTransitionError: If there is no canary, or it answers everything already.
    """
    name = _require_canary(release)
    larger_weights = [share for share in release.steps if share > release.weight_percent]
    if not larger_weights:
        raise InvalidTransitionError(f"{release.name} {name} answers {release.weight_percent:g} % already: promote it")
    return _apply_changes(release, "step", name, author, weight_percent=larger_weights[0])


def promote(release: Release, author: Author) -> Release:
    """Make the canary the stable version, at whatever step it is; the version before is held no longer.

    Raises:
        InvalidTransitionError: If there is no canary.
    """
    name = _require_canary(release)
    changes = {"stable": name, "versions": _drop_versions(release, release.stable), "canary": None, "shadow": None}
    return _apply_changes(release, "promote", name, author, weight_percent=0.0, **changes)


def roll_back(release: Release, author: Author, return_to: VersionManifest | None = None) -> Release:
    """Take a bad version away from the users: the canary, or else the stable version in favour of the one before.

    Args:
        release: What is so now.
        signature: Who, why, when.
        before: The version to return to where there is no canary; `version_before` names it.

    Raises:
        InvalidTransitionError: If there is neither a canary nor a version to return to.
    """
    if release.canary is not None:
        return _end_rollout(release, "roll back", author)
    if return_to is None:
        raise InvalidTransitionError(
            f"{release.name} has no canary to roll back and no version before {release.stable} is given"
        )
    if return_to.card.version == release.stable:
        raise InvalidTransitionError(
            f"{release.name} {release.stable} is the stable version already: name another to return to"
        )
    bad_version, name = release.stable, return_to.card.version
    versions = {**_drop_versions(release, bad_version, release.shadow), name: return_to}
    changes = {"stable": name, "versions": versions, "shadow": None}
    return _apply_changes(release, "roll back", bad_version, author, weight_percent=0.0, **changes)


def abort(release: Release, author: Author) -> Release:
    """Call a rollout off without a word against the version: it may be tried again.

    Raises:
        InvalidTransitionError: If there is no canary.
    """
    _require_canary(release)
    return _end_rollout(release, "abort", author)


def set_shadow(release: Release, version: VersionManifest | None, author: Author) -> Release:
    """Let a version see copies of the requests without answering any; None ends it.

    Raises:
        InvalidTransitionError: If the version is the stable one, or a canary is on trial, or there is no shadow to end.
    """
    if release.canary is not None:
        raise InvalidTransitionError(f"{release.name} {release.canary} is on trial: its shadow goes with it")
    if version is None:
        if release.shadow is None:
            raise InvalidTransitionError(f"{release.name} has no shadow to end")
        versions = _drop_versions(release, release.shadow)
        return _apply_changes(release, "shadow", release.shadow, author, versions=versions, shadow=None)
    name = version.card.version
    versions = {**_drop_versions(release, release.shadow), name: version}
    return _apply_changes(release, "shadow", name, author, versions=versions, shadow=name)


def was_rolled_back(release: Release, version: str) -> bool:
    """Whether the last word of the history on a version is that it was taken back."""
    event_kinds = [change.what for change in release.history if change.version == version]
    return bool(event_kinds) and event_kinds[-1] == "roll back"


def previous_stable(release: Release) -> str | None:
    """Return the stable version before this one, as far as the history reaches and if it was not taken back itself."""
    stables = [change.stable for change in release.history]
    earlier = [name for name in stables if name != release.stable and not was_rolled_back(release, name)]
    return earlier[-1] if earlier else None


def _require_canary(release: Release) -> str:
    if release.canary is None:
        raise InvalidTransitionError(f"{release.name} has no canary: start one first")
    return release.canary


def _end_rollout(release: Release, what: _EventKind, author: Author) -> Release:
    name = _require_canary(release)
    shadow = release.shadow if release.shadow != name else None
    changes = {"versions": _drop_versions(release, name), "canary": None, "shadow": shadow}
    return _apply_changes(release, what, name, author, weight_percent=0.0, **changes)


def _drop_versions(release: Release, *names: str | None) -> dict[str, VersionManifest]:
    return {name: version for name, version in release.versions.items() if name not in names}


def _apply_changes(release: Release, what: _EventKind, version: str, author: Author, **changes: object) -> Release:
    """Return the changed release with a line of history, checked as if it had been read from a file."""
    fields = {**dict(release), **changes}
    event = ReleaseEvent(
        at=author.at,
        who=author.who,
        what=what,
        why=author.why,
        version=version,
        stable=str(fields["stable"]),
        weight_percent=float(fields["weight_percent"]),
    )
    fields["history"] = (*release.history, event)[-HISTORY_LIMIT:]
    try:
        return Release.model_validate(fields)
    except ValidationError as error:
        raise InvalidTransitionError(
            f"{release.name} cannot become this: {describe_validation_error(error)}"
        ) from error
