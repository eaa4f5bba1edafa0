"""Who makes a release so: on a laptop a record file and TorchServe, in a cluster the InferenceService.

Both keep the same promises, and the same tests hold them to these (`services/tests/release/targets/test_targets.py`).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from thale.schemas import Release, VersionManifest

WarmUp = Callable[[str, str, str, float], object]
"""Waits until a model server (its address) has answered the golden plates with a model's version, so many seconds at
most, and raises an ActuatorError if it does not: `thale.release.registry.golden.warm_up`."""


@dataclass(frozen=True)
class VersionedRelease:
    """A release as it is held, and the revision by which a later change knows that nobody came in between."""

    release: Release
    revision: str


def compute_revision(release: Release) -> str:
    """Return the revision of a release that is held as it is: the digest of what it says."""
    return hashlib.sha256(release.model_dump_json().encode()).hexdigest()


class ReleaseTarget(Protocol):
    """Reads releases and changes them."""

    def models(self) -> Sequence[str]:
        """Return the names of the models that are released."""
        ...

    def read(self, model: str) -> VersionedRelease:
        """Return a model's release.

        Raises:
            UnknownModelError: If no such model is released.
            TargetError: If it cannot be read.
        """
        ...

    def find(self, model: str, version: str) -> VersionManifest:
        """Return a registered version, whether it is held or not.

        Raises:
            UnknownVersionError: If the store has no such version.
        """
        ...

    def apply(self, before: VersionedRelease, after: Release) -> VersionedRelease:
        """Make `after` so, and return it as it is held then.

        Versions that are new in `after` are loaded and have answered the golden plates before any request can reach
        them; versions that are gone are unloaded once nobody waits for their answer. A change of weight alone, and
        taking a canary off, wait for neither.

        Raises:
            ConflictError: If the release is no longer the one that was read. Nothing has changed.
            TargetError: If a version does not come up. The traffic goes on as before.
        """
        ...
