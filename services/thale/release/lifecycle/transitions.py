"""Transitions of a release. Each is a pure function from a Release to the next one, with its event in the history.

    canary ──▶ step ──▶ step ──▶ promote ──▶ (roll_back to the previous version)
       └────────┴────────┴──▶ roll_back (the canary is bad)  or  abort (an operator cancels the rollout)

An invalid transition raises an InvalidTransitionError with the remedy. The functions have no side effects and read no
clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import ValidationError

from thale.errors import InvalidTransitionError, describe_validation_error
from thale.schemas import Release, ReleaseEvent, VersionManifest

HISTORY_LIMIT = 50
"""Maximum number of events in a release. The audit log contains all of them."""

_EventKind = Literal["canary", "step", "promote", "roll back", "abort", "shadow", "restore"]


@dataclass(frozen=True)
class Author:
    """Author, reason and time (UTC, ISO 8601) of a change."""

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
    """Start a rollout: make a version the canary at the first step.

    Args:
        release: The current release.
        version: The version of the canary.
        author: Author, reason and time of the change.
        steps: Weights of the steps, in percent. None: the steps of the release.
        shadow: Whether requests that stable serves are mirrored to the canary.
        allow_rolled_back: Whether a version that was rolled back is accepted.

    Raises:
        InvalidTransitionError: If a rollout is in progress, or the version or the steps are not valid.
    """
    name = version.card.version
    if release.canary is not None:
        raise InvalidTransitionError(
            f"{release.name} {release.canary} is already a canary: promote it, roll it back or abort it first"
        )
    if name == release.stable:
        raise InvalidTransitionError(f"{release.name} {name} is already the stable version: choose another version")
    if not allow_rolled_back and was_rolled_back(release, name):
        raise InvalidTransitionError(f"{release.name} {name} was rolled back; pass --again to retry it")
    versions = {**_drop_versions(release, release.shadow), name: version}
    new_steps = release.steps if steps is None else tuple(steps)
    changes = {"versions": versions, "canary": name, "shadow": name if shadow else None, "steps": new_steps}
    return _apply_changes(release, "canary", name, author, weight_percent=next(iter(new_steps), 0.0), **changes)


def step(release: Release, author: Author) -> Release:
    """Increase the weight of the canary to the next step.

    Raises:
        InvalidTransitionError: If there is no canary, or it is at the last step.
    """
    name = _require_canary(release)
    larger_weights = [weight for weight in release.steps if weight > release.weight_percent]
    if not larger_weights:
        raise InvalidTransitionError(f"{release.name} {name} already serves {release.weight_percent:g} %: promote it")
    return _apply_changes(release, "step", name, author, weight_percent=larger_weights[0])


def promote(release: Release, author: Author) -> Release:
    """Make the canary the stable version, at any step. The previous stable version is removed from the release.

    Raises:
        InvalidTransitionError: If there is no canary.
    """
    name = _require_canary(release)
    changes = {"stable": name, "versions": _drop_versions(release, release.stable), "canary": None, "shadow": None}
    return _apply_changes(release, "promote", name, author, weight_percent=0.0, **changes)


def roll_back(release: Release, author: Author, return_to: VersionManifest | None = None) -> Release:
    """Remove a bad version: the canary or, without a canary, the stable version in favour of an earlier one.

    Args:
        release: The current release.
        author: Author, reason and time of the change.
        return_to: The version that replaces stable if there is no canary. `previous_stable` returns its name.

    Raises:
        InvalidTransitionError: If there is neither a canary nor a version to return to.
    """
    if release.canary is not None:
        return _end_rollout(release, "roll back", author)
    if return_to is None:
        raise InvalidTransitionError(
            f"{release.name} has no canary to roll back, and no version before {release.stable} to return to"
        )
    if return_to.card.version == release.stable:
        raise InvalidTransitionError(
            f"{release.name} {release.stable} is already the stable version: return to another version"
        )
    bad_version, name = release.stable, return_to.card.version
    versions = {**_drop_versions(release, bad_version, release.shadow), name: return_to}
    changes = {"stable": name, "versions": versions, "shadow": None}
    return _apply_changes(release, "roll back", bad_version, author, weight_percent=0.0, **changes)


def abort(release: Release, author: Author) -> Release:
    """Cancel a rollout without marking the version as bad: it may become a canary again.

    Raises:
        InvalidTransitionError: If there is no canary.
    """
    _require_canary(release)
    return _end_rollout(release, "abort", author)


def set_shadow(release: Release, version: VersionManifest | None, author: Author) -> Release:
    """Start shadow traffic to a version; None ends it.

    Raises:
        InvalidTransitionError: If the version is stable, a rollout is in progress, or there is no shadow to end.
    """
    if release.canary is not None:
        raise InvalidTransitionError(f"{release.name} {release.canary} is a canary: its shadow ends with the rollout")
    if version is None:
        if release.shadow is None:
            raise InvalidTransitionError(f"{release.name} has no shadow to end")
        versions = _drop_versions(release, release.shadow)
        return _apply_changes(release, "shadow", release.shadow, author, versions=versions, shadow=None)
    name = version.card.version
    versions = {**_drop_versions(release, release.shadow), name: version}
    return _apply_changes(release, "shadow", name, author, versions=versions, shadow=name)


def restore(release: Release, saved: Release, author: Author, *, overwrite: bool = False) -> Release:
    """Return to the stable version, the history and the steps of a saved release. Its canary and shadow are omitted.

    Args:
        release: The current release.
        saved: A copy of an earlier release of the same model.
        author: Author, reason and time of the change.
        overwrite: Whether later changes of the current release are lost.

    Raises:
        InvalidTransitionError: If a rollout is in progress, or the current release has later changes than the copy.
    """
    if release.canary is not None:
        raise InvalidTransitionError(
            f"{release.name} {release.canary} is a canary: roll it back or abort it before a restoration"
        )
    is_later = release.history and (not saved.history or _last_event_at(release) > _last_event_at(saved))
    if is_later and not overwrite:
        raise InvalidTransitionError(
            f"{release.name} has a change of {release.history[-1].at}, after its copy: pass --overwrite to lose it"
        )
    versions = _drop_versions(saved, saved.canary, saved.shadow)
    changes = {"versions": versions, "stable": saved.stable, "shadow": None, "steps": saved.steps}
    with_history = release.model_copy(update={"history": saved.history})
    return _apply_changes(with_history, "restore", saved.stable, author, weight_percent=0.0, **changes)


def contains(release: Release, saved: Release) -> bool:
    """Return whether a release has the stable version and the last change of a saved one."""
    return release.stable == saved.stable and set(saved.history[-1:]) <= {*release.history}


def _last_event_at(release: Release) -> datetime:
    return datetime.fromisoformat(release.history[-1].at)


def was_rolled_back(release: Release, version: str) -> bool:
    """Return whether the last event of a version in the history is a rollback."""
    event_kinds = [event.what for event in release.history if event.version == version]
    return bool(event_kinds) and event_kinds[-1] == "roll back"


def previous_stable(release: Release) -> str | None:
    """Return the last stable version before the current one in the history that was not rolled back."""
    stables = [event.stable for event in release.history]
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
    """Return the changed release with its event in the history, validated like a release from a file."""
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
            f"the change of {release.name} is not valid: {describe_validation_error(error)}"
        ) from error
