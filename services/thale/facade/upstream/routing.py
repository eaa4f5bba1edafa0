"""Which version of which model answers a request: the release record, and what the request itself asks for.

The split is a hash and a comparison, without state: every facade process decides alike, and a series of plates stays
with one version for as long as the weight stands. When the weight grows, nobody goes back from canary to stable.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from thale.errors import ModelUnavailableError, ParameterError, UnknownModelError, UnknownVersionError, WrongTaskError
from thale.schemas import Release, ReleaseState, Task, VersionManifest

Role = Literal["stable", "canary", "pinned", "shadow"]
"""Why a version is asked: by default, on trial, by the request's wish, or for comparison alone."""

_HASH_BITS = 53  # what a float holds exactly, so that a share is always less than 1


@dataclass(frozen=True)
class VersionPin:
    """A model that a request asks for by name, and perhaps by version."""

    name: str
    version: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `plate-seg` or `plate-seg@1.0.0`.

        Raises:
            ParameterError: If it is neither.
        """
        name, separator, version = text.partition("@")
        if not name or (separator and not version) or "@" in version:
            raise ParameterError(f"model={text!r} is not understood: write name or name@version, as plate-seg@1.0.0")
        return cls(name, version or None)


@dataclass(frozen=True)
class Route:
    """The model version that answers one question of one request, and what of it the facade has to know."""

    name: str
    version: str
    task: Task
    digest: str
    """Of the archive."""
    weights_digest: str
    """Of the weights in it: what a worker tells of itself."""
    classes: tuple[str, ...]
    url: str = ""
    """Where its model server listens; empty where the facade's settings say so."""
    role: Role = "stable"
    fallback: "Route | None" = None
    """Who is asked where this version does not answer: the stable one, behind a canary that nobody pinned."""
    shadow: "Route | None" = None
    """Who is asked the same for comparison, once the user has the answer."""

    def span_attributes(self) -> dict[str, str]:
        """Return what traces say of it."""
        return {"thale.model": self.name, "thale.version": self.version, "thale.role": self.role}

    @classmethod
    def from_manifest(
        cls,
        manifest: VersionManifest,
        role: Role = "stable",
        *,
        fallback: "Route | None" = None,
        shadow: "Route | None" = None,
    ) -> Self:
        """Return a released version as the choice."""
        card = manifest.card
        return cls(
            name=card.name,
            version=card.version,
            task=card.task,
            digest=manifest.digest,
            weights_digest=f"sha256:{card.weights_sha256}",
            classes=card.classes,
            url=manifest.url,
            role=role,
            fallback=fallback,
            shadow=shadow,
        )


def select_route(
    release_state: ReleaseState,
    task: Task,
    default_model: str,
    *,
    experiment: str | None,
    request_id: str,
    pins: Sequence[VersionPin] = (),
) -> Route:
    """Return who answers: the version that the request pins, else the canary for its share of requests, else stable.

    Args:
        release_state: The released models.
        task: The question.
        default_model: Model for the task if no pin names another.
        experiment: What the split sticks to: a time series is measured by one version.
        request_id: What the split sticks to where there is no experiment.
        pins: The models that the request names, for any task. One that names no version leaves it to the split.

    Raises:
        UnknownModelError: If a pin names no released model.
        UnknownVersionError: If the pinned model has no such version.
        ParameterError: If two pins name models of this task.
        ModelUnavailableError: If the default model is not released.
    """
    pinned = [pin for pin in pins if get_release(release_state, pin.name).task == task]
    if len(pinned) > 1:
        raise ParameterError(f"two models for {task} are asked for, {pinned[0].name} and {pinned[1].name}: name one")
    if pinned and pinned[0].version is not None:
        return pinned_route(release_state, pinned[0], task)
    name = pinned[0].name if pinned else default_model
    if name not in release_state.models:
        raise ModelUnavailableError(f"no model for {task} is released yet: {name!r} is awaited")
    return split_traffic(release_state.models[name], experiment or request_id)


def split_traffic(release: Release, key: str) -> Route:
    """Return the canary, with the stable version behind it, for the canary's share of all keys; else stable."""
    stable = Route.from_manifest(release.versions[release.stable])
    if release.canary is not None and hash_fraction(release.name, release.canary, key) < release.weight_percent / 100:
        return Route.from_manifest(release.versions[release.canary], "canary", fallback=stable)
    if release.shadow is None:
        return stable
    return replace(stable, shadow=Route.from_manifest(release.versions[release.shadow], "shadow"))


def hash_fraction(model: str, canary: str, key: str) -> float:
    """Return where a key stands in the line of all keys, in [0, 1): the canary serves those below its weight.

    The canary's version is part of it, so that it is not always the same experiments that try new versions first.
    """
    digest = hashlib.sha256("\0".join((model, canary, key)).encode()).digest()
    return (int.from_bytes(digest[:8]) >> 64 - _HASH_BITS) / (1 << _HASH_BITS)


def pinned_route(release_state: ReleaseState, pin: VersionPin, task: Task) -> Route:
    """Return the version that a pin means, the stable one where it names none.

    Raises:
        UnknownModelError: If no such model is released.
        UnknownVersionError: If it has no such version.
        WrongTaskError: If the model answers another question.
    """
    model = get_release(release_state, pin.name)
    if model.task != task:
        raise WrongTaskError(f"{pin.name} is a model for {model.task}, and {task} is asked for")
    version = pin.version or model.stable
    if version not in model.versions:
        raise UnknownVersionError(pin.name, version, sorted(model.versions))
    return Route.from_manifest(model.versions[version], "pinned")


def get_release(release_state: ReleaseState, name: str) -> Release:
    """Return a released model.

    Raises:
        UnknownModelError: If there is none of that name.
    """
    try:
        return release_state.models[name]
    except KeyError:
        raise UnknownModelError(name, sorted(release_state.models)) from None
