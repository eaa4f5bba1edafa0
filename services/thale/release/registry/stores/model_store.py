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

from thale.errors import StoreError, UnknownModelError, UnknownVersionError, VersionExistsError
from thale.release.registry.archive_validation import ValidatedArchive, validate_archive
from thale.schemas import VersionManifest

MANIFEST_FILE = "release.json"
_DIGEST_LENGTH = 12
_SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class StoreResult:
    """A version as the store holds it."""

    version: VersionManifest
    uri: str
    new: bool
    """False where the same bytes were there already."""


class ModelStore(ABC):
    """The promises, made of a few operations that each kind of store has its own way for."""

    def put(self, path: Path) -> StoreResult:
        """Keep an archive under its model's name, version and digest.

        Raises:
            ArchiveError: If it is no sound model archive.
            VersionExistsError: If the store holds the version with other bytes.
            StoreError: If the store does not take it.
        """
        archive = validate_archive(path)
        manifest = archive.version_manifest
        existing = self.get(manifest)
        if existing is None:
            key = manifest_key(manifest.card.name, manifest.card.version)
            self._put_archive(archive, archive_key(manifest))
            if self._write_new(key, manifest.model_dump_json(indent=2).encode()):
                return StoreResult(manifest, self._object_uri(version_folder(manifest)), new=True)
            existing = self.get(manifest)
        if existing is None:
            raise StoreError(f"{key} was there and is gone: somebody deletes from the model store")
        return existing

    def get(self, manifest: VersionManifest) -> StoreResult | None:
        """Return what the store holds of a version if it is the same bytes, None where it holds nothing.

        Raises:
            VersionExistsError: If it holds the version with other bytes.
            StoreError: If the store does not answer.
        """
        key = manifest_key(manifest.card.name, manifest.card.version)
        if (data := self._read(key)) is None:
            return None
        existing = _parse_manifest(key, data)
        if existing.digest != manifest.digest:
            raise VersionExistsError(
                f"{existing.card.name} {existing.card.version} is registered with other bytes ({existing.digest}): a version is "
                "never rewritten, so give the model a new version and archive it again"
            )
        return StoreResult(existing, self._object_uri(version_folder(existing)), new=False)

    def find(self, model: str, version: str) -> VersionManifest:
        """Return a registered version.

        Raises:
            UnknownModelError: If no version of the model is registered.
            UnknownVersionError: If this version is not.
            StoreError: If the store does not answer.
        """
        if _SAFE_NAME.fullmatch(model) and _SAFE_NAME.fullmatch(version):
            key = manifest_key(model, version)
            if (data := self._read(key)) is not None:
                return _parse_manifest(key, data)
        known = self.versions()
        if model not in {other.card.name for other in known}:
            raise UnknownModelError(model, sorted({other.card.name for other in known}))
        raise UnknownVersionError(model, version, [o.card.version for o in known if o.card.name == model])

    def versions(self, model: str | None = None) -> Sequence[VersionManifest]:
        """Return what is registered, of one model or of all, by name and rising version.

        Raises:
            StoreError: If the store does not answer.
        """
        manifests = [
            _parse_manifest(key, data) for key in self._manifest_keys() if (data := self._read(key)) is not None
        ]
        selected = [manifest for manifest in manifests if model in (None, manifest.card.name)]
        return sorted(selected, key=lambda manifest: (manifest.card.name, _version_numbers(manifest.card.version)))

    def fetch(self, model: str, version: str, to: Path) -> Path:
        """Copy a version's archive into a folder and return its path; one that is there already stays.

        Raises:
            UnknownModelError: If no version of the model is registered.
            UnknownVersionError: If this version is not.
            StoreError: If the store does not give it, or gives other bytes than were registered.
        """
        manifest = self.find(model, version)
        key = archive_key(manifest)
        target = to / key.rpartition("/")[2]
        if target.exists() and file_digest(target) == manifest.digest:
            return target
        partial = target.with_name(f".{target.name}.part")
        try:
            to.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                for chunk in self._read_chunks(key):
                    file.write(chunk)
            if (digest := file_digest(partial)) != manifest.digest:
                partial.unlink()
                raise StoreError(f"{self._object_uri(key)} has the digest {digest}, {manifest.digest} was registered")
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
        return self._object_uri(version_folder(self.find(model, version)))

    @abstractmethod
    def _read(self, key: str) -> bytes | None:
        """Return a small object, None where there is none."""

    @abstractmethod
    def _write_new(self, key: str, data: bytes) -> bool:
        """Write a small object as a whole; return False, and change nothing, where there is one already."""

    @abstractmethod
    def _put_archive(self, archive: ValidatedArchive, key: str) -> None:
        """Keep an archive as a whole; one that is there already with the same bytes stays."""

    @abstractmethod
    def _manifest_keys(self) -> Iterator[str]:
        """Give the names of all claims."""

    @abstractmethod
    def _read_chunks(self, key: str) -> Iterator[bytes]:
        """Give an archive's bytes piece by piece."""

    @abstractmethod
    def _object_uri(self, key: str) -> str:
        """Return the address of an object or folder."""


def manifest_key(model: str, version: str) -> str:
    """Return the name of a version's claim."""
    return f"{model}/{version}/{MANIFEST_FILE}"


def version_folder(manifest: VersionManifest) -> str:
    """Return the name of a version's folder."""
    digest = manifest.digest.removeprefix("sha256:")[:_DIGEST_LENGTH]
    return f"{manifest.card.name}/{manifest.card.version}/{digest}"


def archive_key(manifest: VersionManifest) -> str:
    """Return the name of a version's archive."""
    return f"{version_folder(manifest)}/model-store/{manifest.card.name}-{manifest.card.version}.mar"


def file_digest(path: Path) -> str:
    """Return a file's SHA-256, as `sha256:…`."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _parse_manifest(key: str, data: bytes) -> VersionManifest:
    try:
        return VersionManifest.model_validate_json(data)
    except ValidationError as error:
        raise StoreError(f"{key} in the model store cannot be read: {error}") from error


def _version_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
