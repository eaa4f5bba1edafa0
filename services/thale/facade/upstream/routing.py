"""Routing of a request to a model version, by the release state, the traffic split and the request's version pins.

The traffic split is a hash and a comparison, without state (ADR 0011). Every facade process selects the same version. A
series of plates stays with one version while the weight is constant. If the weight increases, no experiment moves from
canary to stable.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from thale.errors import ModelUnavailableError, ParameterError, UnknownModelError, UnknownVersionError, WrongTaskError
from thale.schemas import VERSION_PATTERN, Release, ReleaseState, Task, VersionManifest, version_numbers

Role = Literal["stable", "canary", "pinned", "shadow"]
"""Reason for the selection of a version: the default, a rollout, the client's version pin, or shadow traffic."""

_HASH_BITS = 53  # a float represents these integers exactly, so that a fraction is always less than 1


@dataclass(frozen=True)
class VersionPin:
    """The client's request for a model, optionally with a version."""

    name: str
    version: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `plate-seg` or `plate-seg@1.0.0`.

        Raises:
            ParameterError: If the text has neither form.
        """
        name, separator, version = text.partition("@")
        if not name or (separator and not re.fullmatch(VERSION_PATTERN, version)):
            raise ParameterError(f"model={text!r} is invalid: write name or name@version, such as plate-seg@1.0.0")
        return cls(name, version or None)


@dataclass(frozen=True)
class Route:
    """The model version that serves one task of one request, with its identity, fallback and shadow."""

    name: str
    version: str
    task: Task
    digest: str
    """Digest of the archive."""
    weights_digest: str
    """Digest of the weights in the archive, which a worker includes in its predictions."""
    classes: tuple[str, ...]
    url: str = ""
    """URL of the version's own model server. Empty if the facade's settings apply."""
    role: Role = "stable"
    fallback: "Route | None" = None
    """Stable, if this version is a canary without a version pin."""
    shadow: "Route | None" = None
    """The version that receives a copy of the request after the response is sent."""

    def span_attributes(self) -> dict[str, str]:
        """Return the attributes of spans of this route."""
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
        """Return the route to a released version."""
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
    """Return the route of a request: its pinned version, else the canary for the weight's share, else stable.

    Args:
        release_state: The released models.
        task: The task.
        default_model: Model for the task if no pin names another.
        experiment: Key of the traffic split, so that one version processes a time series.
        request_id: Key of the traffic split without an experiment.
        pins: Version pins of the request, for any task. The traffic split applies to a pin without a version.

    Raises:
        UnknownModelError: If a pin names no released model.
        UnknownVersionError: If the pinned model has no such version.
        ParameterError: If two pins name models of this task.
        ModelUnavailableError: If the default model is not released.
    """
    pinned = [pin for pin in pins if get_release(release_state, pin.name).task == task]
    if len(pinned) > 1:
        raise ParameterError(f"two models for {task} are pinned, {pinned[0].name} and {pinned[1].name}: pin only one")
    if pinned and pinned[0].version is not None:
        return pinned_route(release_state, pinned[0], task)
    name = pinned[0].name if pinned else default_model
    if name not in release_state.models:
        raise ModelUnavailableError(f"the model for {task}, {name!r}, is not released yet")
    return split_traffic(release_state.models[name], experiment or request_id)


def split_traffic(release: Release, key: str) -> Route:
    """Return the canary with stable as fallback for the weight's share of all keys, else stable."""
    stable = Route.from_manifest(release.versions[release.stable])
    if release.canary is not None and hash_fraction(release.name, release.canary, key) < release.weight_percent / 100:
        return Route.from_manifest(release.versions[release.canary], "canary", fallback=stable)
    if release.shadow is None:
        return stable
    return replace(stable, shadow=Route.from_manifest(release.versions[release.shadow], "shadow"))


def hash_fraction(model: str, canary: str, key: str) -> float:
    """Return the hash of a key as a fraction in [0, 1). The canary serves the keys below its weight.

    The hash includes the canary's version, so that each rollout starts with different experiments.
    """
    digest = hashlib.sha256("\0".join((model, canary, key)).encode()).digest()
    return (int.from_bytes(digest[:8]) >> 64 - _HASH_BITS) / (1 << _HASH_BITS)


def pinned_route(release_state: ReleaseState, pin: VersionPin, task: Task) -> Route:
    """Return the route to a pinned version, or to stable if the pin has no version.

    Raises:
        UnknownModelError: If the model is not released.
        UnknownVersionError: If the model has no such version.
        WrongTaskError: If the model is for another task.
    """
    model = get_release(release_state, pin.name)
    if model.task != task:
        raise WrongTaskError(f"{pin.name} is a model for {model.task}, but the request is for {task}")
    version = pin.version or model.stable
    if version not in model.versions:
        raise UnknownVersionError(pin.name, version, sorted(model.versions, key=version_numbers))
    return Route.from_manifest(model.versions[version], "pinned")


def get_release(release_state: ReleaseState, name: str) -> Release:
    """Return a released model.

    Raises:
        UnknownModelError: If no model with this name is released.
    """
    try:
        return release_state.models[name]
    except KeyError:
        raise UnknownModelError(name, sorted(release_state.models)) from None
