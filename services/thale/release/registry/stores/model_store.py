"""Model store: registered versions are immutable.

    MODEL/VERSION/release.json                              the version manifest with card and digest
    MODEL/VERSION/DIGEST/model-store/MODEL-VERSION.mar      the archive, in a folder named after its digest
    MODEL/VERSION/DIGEST/model-store/MODEL-VERSION.mar.sha256           its digest, in the format of sha256sum
    MODEL/VERSION/DIGEST/model-store/MODEL-VERSION.mar.KEY-ID.sig       a signature (thale.release.registry.signatures)

The archive is written first and the version manifest last, and only if it does not exist (ADR 0023). An interrupted
registration therefore has no effect, one of two concurrent registrations with other bytes fails, and the archive of a
manifest is complete. A store never overwrites or deletes an object, and ignores an archive without a manifest.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from thale.errors import (
    StoreError,
    UnknownModelError,
    UnknownVersionError,
    VersionExistsError,
    describe_validation_error,
)
from thale.release.registry.archive_validation import ValidatedArchive, validate_archive
from thale.release.registry.signatures import Signature, compute_digest, key_id_from_name, signature_name
from thale.schemas import MODEL_NAME_PATTERN, VERSION_PATTERN, VersionManifest, version_numbers

MANIFEST_FILE = "release.json"
DIGEST_SUFFIX = ".sha256"
_DIGEST_LENGTH = 12


@dataclass(frozen=True)
class StoreResult:
    """A version in the store."""

    version: VersionManifest
    uri: str
    new: bool
    """False if the same archive was already in the store."""


class ModelStore(ABC):
    """Base class of the stores. Subclasses implement reads and exclusive writes of objects."""

    def put(self, path: Path, signature: Signature | None = None) -> StoreResult:
        """Store an archive under its model's name, version and digest. A signature is added to those of other keys.

        Raises:
            ArchiveError: If the archive is not valid.
            VersionExistsError: If the store contains the version with other bytes.
            StoreError: If the store cannot write it.
        """
        archive = validate_archive(path)
        manifest = archive.version_manifest
        existing = self.get(manifest)
        if existing is not None:
            self._put_signature(manifest, signature)
        else:
            key = manifest_key(manifest.card.name, manifest.card.version)
            self._put_archive(archive, archive_key(manifest))
            self.create_object(f"{archive_key(manifest)}{DIGEST_SUFFIX}", _digest_line(manifest))
            self._put_signature(manifest, signature)
            if self.create_object(key, manifest.model_dump_json(indent=2).encode()):
                return StoreResult(manifest, self._object_uri(version_folder(manifest)), new=True)
            existing = self.get(manifest)
        if existing is None:
            raise StoreError(f"{key} disappeared: another client deletes objects of the model store")
        return existing

    def signatures(self, manifest: VersionManifest) -> Mapping[str, bytes]:
        """Return the signatures of a version by key id, valid or not.

        Raises:
            StoreError: If the store cannot be read.
        """
        folder, _, archive = archive_key(manifest).rpartition("/")
        found = {key_id: name for name in self.object_names(folder) if (key_id := key_id_from_name(name, archive))}
        values = {key_id: self.read_object(f"{folder}/{name}") for key_id, name in found.items()}
        return {key_id: value.strip() for key_id, value in values.items() if value is not None}

    def _put_signature(self, manifest: VersionManifest, signature: Signature | None) -> None:
        if signature is not None:
            self.create_object(signature_name(archive_key(manifest), signature.key_id), signature.value)

    def get(self, manifest: VersionManifest) -> StoreResult | None:
        """Return the stored version if it has the same bytes, None if the store does not contain it.

        Raises:
            VersionExistsError: If the store contains the version with other bytes.
            StoreError: If the store cannot be read.
        """
        key = manifest_key(manifest.card.name, manifest.card.version)
        if (data := self.read_object(key)) is None:
            return None
        existing = _parse_manifest(key, data)
        if existing.digest != manifest.digest:
            raise VersionExistsError(
                f"{existing.card.name} {existing.card.version} is registered with other bytes ({existing.digest}): "
                "versions are immutable, so give the model a new version and archive it again"
            )
        return StoreResult(existing, self._object_uri(version_folder(existing)), new=False)

    def find(self, model: str, version: str) -> VersionManifest:
        """Return a registered version.

        Raises:
            UnknownModelError: If no version of the model is registered.
            UnknownVersionError: If this version is not registered.
            StoreError: If the store cannot be read.
        """
        if re.fullmatch(MODEL_NAME_PATTERN, model) and re.fullmatch(VERSION_PATTERN, version):
            key = manifest_key(model, version)
            if (data := self.read_object(key)) is not None:
                return _parse_manifest(key, data)
        known = self.versions()
        if model not in {other.card.name for other in known}:
            raise UnknownModelError(model, sorted({other.card.name for other in known}))
        raise UnknownVersionError(model, version, [o.card.version for o in known if o.card.name == model])

    def versions(self, model: str | None = None) -> Sequence[VersionManifest]:
        """Return the registered versions of one model or of all, sorted by name and ascending version.

        Raises:
            StoreError: If the store cannot be read.
        """
        manifests = [
            _parse_manifest(key, data) for key in self._manifest_keys() if (data := self.read_object(key)) is not None
        ]
        selected = [manifest for manifest in manifests if model in (None, manifest.card.name)]
        return sorted(selected, key=lambda manifest: (manifest.card.name, version_numbers(manifest.card.version)))

    def fetch(self, model: str, version: str, to: Path) -> Path:
        """Copy a version's archive into a folder and return its path. A valid copy is not replaced.

        Raises:
            UnknownModelError: If no version of the model is registered.
            UnknownVersionError: If this version is not registered.
            StoreError: If the store cannot read it, or its bytes do not match the registered digest.
        """
        manifest = self.find(model, version)
        key = archive_key(manifest)
        target = to / key.rpartition("/")[2]
        if target.exists() and compute_digest(target) == manifest.digest:
            return target
        partial = target.with_name(f".{target.name}.part")
        try:
            to.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                for chunk in self._read_chunks(key):
                    file.write(chunk)
            if (digest := compute_digest(partial)) != manifest.digest:
                partial.unlink()
                raise StoreError(
                    f"{self._object_uri(key)} has the digest {digest}, but {manifest.digest} was registered"
                )
            partial.replace(target)
        except OSError as error:
            raise StoreError(f"{target} cannot be written: {error.strerror}") from error
        return target

    def uri(self, model: str, version: str) -> str:
        """Return the address of a version's folder, which contains `model-store`: KServe's `storageUri`.

        Raises:
            UnknownModelError: If no version of the model is registered.
            UnknownVersionError: If this version is not registered.
            StoreError: If the store cannot be read.
        """
        return self._object_uri(version_folder(self.find(model, version)))

    @abstractmethod
    def read_object(self, key: str) -> bytes | None:
        """Return a small object, None if it does not exist."""

    @abstractmethod
    def create_object(self, key: str, data: bytes) -> bool:
        """Write a small object atomically. Return False, without a change, if it exists."""

    @abstractmethod
    def _put_archive(self, archive: ValidatedArchive, key: str) -> None:
        """Write an archive atomically. An existing one with the same bytes is not replaced."""

    @abstractmethod
    def object_names(self, folder: str) -> Iterable[str]:
        """Return the names of the objects directly in a folder. Empty if it does not exist."""

    @abstractmethod
    def _manifest_keys(self) -> Iterator[str]:
        """Yield the keys of all version manifests."""

    @abstractmethod
    def _read_chunks(self, key: str) -> Iterator[bytes]:
        """Yield the bytes of an archive in chunks."""

    @abstractmethod
    def _object_uri(self, key: str) -> str:
        """Return the address of an object or folder."""


def manifest_key(model: str, version: str) -> str:
    """Return the key of a version manifest."""
    return f"{model}/{version}/{MANIFEST_FILE}"


def version_folder(manifest: VersionManifest) -> str:
    """Return the key of a version's folder."""
    digest = manifest.digest.removeprefix("sha256:")[:_DIGEST_LENGTH]
    return f"{manifest.card.name}/{manifest.card.version}/{digest}"


def archive_key(manifest: VersionManifest) -> str:
    """Return the key of a version's archive."""
    return f"{version_folder(manifest)}/model-store/{manifest.card.name}-{manifest.card.version}.mar"


def _digest_line(manifest: VersionManifest) -> bytes:
    """Return the line of `sha256sum` for an archive."""
    return f"{manifest.digest.removeprefix('sha256:')}  {archive_key(manifest).rpartition('/')[2]}\n".encode()


def _parse_manifest(key: str, data: bytes) -> VersionManifest:
    try:
        return VersionManifest.model_validate_json(data)
    except ValidationError as error:
        raise StoreError(
            f"{key} in the model store is not a valid version manifest: {describe_validation_error(error)}"
        ) from error
