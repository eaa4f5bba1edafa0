"""What every model store promises, and how: a version is registered once, for ever, with the bytes of the first.

    MODEL/VERSION/release.json                              the claim: card and digest; who writes it first has won
    MODEL/VERSION/DIGEST/model-store/MODEL-VERSION.mar      the archive, its folder named by its digest

The archive is written first and the claim last, and only where there is none. So whoever is interrupted in between has
registered nothing, of two who register other bytes at once one is refused, and what the claim names is there and whole.
Nothing is ever overwritten or deleted; an archive without a claim counts for nothing.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from thale.errors import StoreError, UnknownModelError, UnknownVersionError, VersionTakenError
from thale.release.registry.archive_validation import CheckedArchive, read_archive
from thale.schemas import ReleasedVersion

CLAIM = "release.json"
_DIGEST_LENGTH = 12
_SAFE = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class Stored:
    """A version as the store holds it."""

    version: ReleasedVersion
    uri: str
    new: bool
    """False where the same bytes were there already."""


class ModelStore(ABC):
    """The promises, made of a few operations that each kind of store has its own way for."""

    def put(self, path: Path) -> Stored:
        """Keep an archive under its model's name, version and digest.

        Raises:
            ArchiveError: If it is no sound model archive.
            VersionTakenError: If the store holds the version with other bytes.
            StoreError: If the store does not take it.
        """
        archive = read_archive(path)
        released = archive.released
        held = self.held(released)
        if held is None:
            claim = claim_name(released.card.name, released.card.version)
            self._place(archive, archive_name(released))
            if self._write_new(claim, released.model_dump_json(indent=2).encode()):
                return Stored(released, self._uri_of(folder_name(released)), new=True)
            held = self.held(released)
        if held is None:
            raise StoreError(f"{claim} was there and is gone: somebody deletes from the model store")
        return held

    def held(self, released: ReleasedVersion) -> Stored | None:
        """Return what the store holds of a version if it is the same bytes, None where it holds nothing.

        Raises:
            VersionTakenError: If it holds the version with other bytes.
            StoreError: If the store does not answer.
        """
        claim = claim_name(released.card.name, released.card.version)
        if (data := self._read(claim)) is None:
            return None
        held = _parse(claim, data)
        if held.digest != released.digest:
            raise VersionTakenError(
                f"{held.card.name} {held.card.version} is registered with other bytes ({held.digest}): a version is "
                "never rewritten, so give the model a new version and archive it again"
            )
        return Stored(held, self._uri_of(folder_name(held)), new=False)

    def find(self, model: str, version: str) -> ReleasedVersion:
        """Return a registered version.

        Raises:
            UnknownModelError: If no version of the model is registered.
            UnknownVersionError: If this version is not.
            StoreError: If the store does not answer.
        """
        if _SAFE.fullmatch(model) and _SAFE.fullmatch(version):
            claim = claim_name(model, version)
            if (held := self._read(claim)) is not None:
                return _parse(claim, held)
        known = self.versions()
        if model not in {other.card.name for other in known}:
            raise UnknownModelError(model, sorted({other.card.name for other in known}))
        raise UnknownVersionError(model, version, [o.card.version for o in known if o.card.name == model])

    def versions(self, model: str | None = None) -> Sequence[ReleasedVersion]:
        """Return what is registered, of one model or of all, by name and rising version.

        Raises:
            StoreError: If the store does not answer.
        """
        found = [_parse(name, data) for name in self._claims() if (data := self._read(name)) is not None]
        chosen = [released for released in found if model in (None, released.card.name)]
        return sorted(chosen, key=lambda released: (released.card.name, _numbers(released.card.version)))

    def fetch(self, model: str, version: str, to: Path) -> Path:
        """Copy a version's archive into a folder and return its path; one that is there already stays.

        Raises:
            UnknownModelError: If no version of the model is registered.
            UnknownVersionError: If this version is not.
            StoreError: If the store does not give it, or gives other bytes than were registered.
        """
        released = self.find(model, version)
        name = archive_name(released)
        target = to / name.rpartition("/")[2]
        if target.exists() and digest_of(target) == released.digest:
            return target
        partial = target.with_name(f".{target.name}.part")
        try:
            to.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                for chunk in self._chunks(name):
                    file.write(chunk)
            if (found := digest_of(partial)) != released.digest:
                partial.unlink()
                raise StoreError(f"{self._uri_of(name)} has the digest {found}, {released.digest} was registered")
            partial.replace(target)
        except OSError as error:
            raise StoreError(f"{target} cannot be written: {error.strerror}") from error
        return target

    def uri(self, model: str, version: str) -> str:
        """Return the address of a version's folder, whose `model-store` holds its archive: KServe's `storageUri`.

        Raises:
            UnknownModelError: If no version of the model is registered.
            UnknownVersionError: If this version is not.
        """
        return self._uri_of(folder_name(self.find(model, version)))

    @abstractmethod
    def _read(self, name: str) -> bytes | None:
        """Return a small object, None where there is none."""

    @abstractmethod
    def _write_new(self, name: str, data: bytes) -> bool:
        """Write a small object as a whole; return False, and change nothing, where there is one already."""

    @abstractmethod
    def _place(self, archive: CheckedArchive, name: str) -> None:
        """Keep an archive as a whole; one that is there already with the same bytes stays."""

    @abstractmethod
    def _claims(self) -> Iterator[str]:
        """Give the names of all claims."""

    @abstractmethod
    def _chunks(self, name: str) -> Iterator[bytes]:
        """Give an archive's bytes piece by piece."""

    @abstractmethod
    def _uri_of(self, name: str) -> str:
        """Return the address of an object or folder."""


def claim_name(model: str, version: str) -> str:
    """Return the name of a version's claim."""
    return f"{model}/{version}/{CLAIM}"


def folder_name(released: ReleasedVersion) -> str:
    """Return the name of a version's folder."""
    digest = released.digest.removeprefix("sha256:")[:_DIGEST_LENGTH]
    return f"{released.card.name}/{released.card.version}/{digest}"


def archive_name(released: ReleasedVersion) -> str:
    """Return the name of a version's archive."""
    return f"{folder_name(released)}/model-store/{released.card.name}-{released.card.version}.mar"


def digest_of(path: Path) -> str:
    """Return a file's SHA-256, as `sha256:…`."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _parse(name: str, data: bytes) -> ReleasedVersion:
    try:
        return ReleasedVersion.model_validate_json(data)
    except ValidationError as error:
        raise StoreError(f"{name} in the model store cannot be read: {error}") from error


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
