"""Copies of releases as objects in a folder or a blob container, one for each change.

    MODEL/20261130T191502123Z-9f86d081884c.json     the time of the release's last change, and its revision

A name follows from the release alone. So two controllers write the same object, a late write of an old state cannot
replace a newer one, and a new cluster, whose release has an older history, adds no newer copy. Objects are never
overwritten or deleted (ADR 0124).
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol

from pydantic import ValidationError

from thale.errors import StoreError, describe_validation_error
from thale.release.targets import compute_revision
from thale.schemas import FrozenModel, Release

_SUFFIX = ".json"
_REVISION_LENGTH = 12
_BEFORE_ALL_CHANGES = "00000000T000000000Z"


class ObjectStore(Protocol):
    """Small objects in a folder or a container. The model stores implement it."""

    def read_object(self, key: str) -> bytes | None:
        """Return an object, None if it does not exist."""
        ...

    def create_object(self, key: str, data: bytes) -> bool:
        """Write an object atomically. Return False, without a change, if it exists."""
        ...

    def object_names(self, folder: str) -> Iterable[str]:
        """Return the names of the objects directly in a folder. Empty if it does not exist."""
        ...


class ReleaseCopy(FrozenModel):
    """A release, and the time at which it was copied."""

    saved_at: str
    """UTC, ISO 8601."""
    release: Release


class ReleaseCopies:
    """The copies of a cluster's releases.

    Args:
        objects: Folder or container of the copies.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def save(self, release: Release, saved_at: datetime) -> bool:
        """Copy a release. Returns False if the same release has a copy already.

        Raises:
            StoreError: If the copy cannot be written.
        """
        copy = ReleaseCopy(saved_at=saved_at.astimezone(UTC).isoformat(timespec="seconds"), release=release)
        return self._objects.create_object(_key(release), copy.model_dump_json(indent=2).encode())

    def latest(self, model: str) -> ReleaseCopy | None:
        """Return the copy with the last change of a model, None if there is no copy.

        Changes with `kubectl` have no event in the history. Of several copies with the same last event, the one that
        was saved last counts.

        Raises:
            StoreError: If the copies cannot be read.
        """
        names = sorted(name for name in self._objects.object_names(model) if name.endswith(_SUFFIX))
        if not names:
            return None
        changed_at = names[-1].partition("-")[0]
        copies = [self._read(f"{model}/{name}") for name in names if name.startswith(f"{changed_at}-")]
        return max(copies, key=lambda copy: copy.saved_at)

    def _read(self, key: str) -> ReleaseCopy:
        data = self._objects.read_object(key)
        if data is None:
            raise StoreError(f"{key} disappeared: another client deletes copies of releases")
        try:
            return ReleaseCopy.model_validate_json(data)
        except ValidationError as error:
            raise StoreError(f"{key} is not a valid copy of a release: {describe_validation_error(error)}") from error


def changed_at(release: Release) -> datetime | None:
    """Return the time of the last change in a release's history, None if it has no change."""
    return datetime.fromisoformat(release.history[-1].at).astimezone(UTC) if release.history else None


def _key(release: Release) -> str:
    at = changed_at(release)
    order = f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03}Z" if at is not None else _BEFORE_ALL_CHANGES
    return f"{release.name}/{order}-{compute_revision(release)[:_REVISION_LENGTH]}{_SUFFIX}"
