"""Release targets: the adapters that apply a release to the local platform or to KServe.

Both meet the same contract, which `services/tests/release/targets/test_targets.py` checks for both.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from thale.schemas import Release, VersionManifest

WarmUp = Callable[[str, str, str, float], object]
"""Waits until a version has predicted the golden plates: `thale.release.registry.golden.warm_up`.

Its arguments are the address of the model server, the model, the version, and a timeout in seconds. It raises a
TargetError if the version fails or the timeout passes."""


@dataclass(frozen=True)
class VersionedRelease:
    """A release with its revision. A write fails if the revision has changed since the read."""

    release: Release
    revision: str


def compute_revision(release: Release) -> str:
    """Return the revision of a release: the digest of its JSON."""
    return hashlib.sha256(release.model_dump_json().encode()).hexdigest()


class VersionStore(Protocol):
    """Registered versions, as far as targets read them. `ModelStore` implements it."""

    def find(self, model: str, version: str) -> VersionManifest:
        """Return a registered version.

        Raises:
            UnknownVersionError: If the store does not contain it.
        """
        ...

    def uri(self, model: str, version: str) -> str:
        """Return the `storageUri` of a version, from which KServe's storage initializer downloads the archive.

        Raises:
            UnknownVersionError: If the store does not contain it.
            StoreError: If the store cannot be read, or has no address in the cluster.
        """
        ...

    def signatures(self, manifest: VersionManifest) -> Mapping[str, bytes]:
        """Return the signatures of a version by key id, valid or not."""
        ...


class LocalVersionStore(VersionStore, Protocol):
    """A version store whose archives are files of this machine. `FolderStore` implements it."""

    def archive(self, manifest: VersionManifest) -> Path:
        """Return the path of an archive.

        Raises:
            StoreError: If it is missing.
        """
        ...


@dataclass(frozen=True)
class TargetTimeouts:
    """Timeouts and intervals of a target, in seconds."""

    load_s: float
    """From the request for a version until its workers are ready."""
    drain_s: float
    """Until a version has sent its last responses, after facades have stopped sending requests to it."""
    warm_up_s: float = 120.0
    """Until a version has predicted the golden plates."""
    scale_s: float = 600.0
    """Until a version has its replicas for a larger share of the requests. 0 is for a caller that retries."""
    poll_s: float = 1.0
    """Interval of KServe's status checks."""
    propagation_s: float = 2.0
    """Until every facade has read the local release state. A facade polls it every second."""
    unload_s: float = 60.0
    """Until TorchServe has unloaded a version."""


class ReleaseTarget(Protocol):
    """Reads and applies releases."""

    def models(self) -> Sequence[str]:
        """Return the names of the released models."""
        ...

    def read(self, model: str) -> VersionedRelease:
        """Return the release of a model.

        Raises:
            UnknownModelError: If the model has no release.
            TargetError: If the release cannot be read.
        """
        ...

    def find(self, model: str, version: str) -> VersionManifest:
        """Return a registered version, loaded or not.

        Raises:
            UnknownVersionError: If the store has no such version.
        """
        ...

    def unused(self, model: str) -> Sequence[str]:
        """Return the loaded versions that the release of a model lacks, ascending, such as those of a killed change.

        Raises:
            UnknownModelError: If the model has no release.
            TargetError: If the target does not respond.
        """
        ...

    def drop(self, model: str, versions: Collection[str]) -> None:
        """Unload these versions, except versions that the release contains.

        Raises:
            ConflictError: If the release changed concurrently in every attempt.
            UnknownModelError: If the model has no release.
            TargetError: If the target does not respond.
        """
        ...

    def apply(self, before: VersionedRelease, after: Release) -> VersionedRelease:
        """Apply the release `after` and return it with its new revision.

        A new version is loaded and has predicted the golden plates before it receives requests. A removed version is
        unloaded after its last response. A change of the weight and the removal of a canary wait for neither.

        Raises:
            ConflictError: If the release has changed since `before` was read. Nothing is changed.
            StoreError: If the store of a new version cannot be read, or the version is not signed by a trusted key.
            TargetError: If a version cannot be loaded. The traffic does not change.
        """
        ...
