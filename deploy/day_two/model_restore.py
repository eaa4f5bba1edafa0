"""Restoration of the model store from the versions that Blob Storage keeps of each blob.

A deleted blob has no current version, and a damaged one has other bytes than its digest. Versions before them are kept
(terraform/azure/storage.tf). Archives come first and version manifests last, as in a registration, so that a manifest
never names a missing archive. Every restored archive is compared with the SHA-256 of its manifest.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.identity import DefaultAzureCredential
from azure.storage.blob import ContainerClient, ContentSettings
from rich.console import Console

from deploy.errors import DeployError
from thale.release.registry.stores.model_store import DIGEST_SUFFIX, MANIFEST_FILE

_ARCHIVE_SUFFIX = ".mar"
_ARCHIVE_DEPTH = 4
"""Folders above an archive: model, version, digest, model-store."""


@dataclass(frozen=True)
class BlobVersion:
    """One version of a blob."""

    name: str
    version_id: str
    """Time of the version; later ones are greater as text."""
    is_current: bool


@dataclass(frozen=True)
class RestoredBlob:
    """A blob to restore, and the version whose bytes it gets."""

    name: str
    version_id: str
    reason: str


class VersionedContainer:
    """The container of the model store, with the versions of its blobs."""

    def __init__(self, client: ContainerClient) -> None:
        self._client = client

    def versions(self) -> Sequence[BlobVersion]:
        """Return all versions of all blobs.

        Raises:
            DeployError: If the container cannot be read.
        """
        try:
            return [
                BlobVersion(blob.name, blob.version_id, bool(blob.is_current_version))
                for blob in self._client.list_blobs(include=["versions"])
                if blob.version_id
            ]
        except AzureError as error:
            raise DeployError(
                f"{self._client.url} cannot be listed ({error.message}): check address and role"
            ) from error

    def read(self, name: str, version_id: str) -> bytes:
        """Return the bytes of a version."""
        return self._client.get_blob_client(name, version_id=version_id).download_blob().readall()

    def write(self, name: str, version_id: str) -> None:
        """Make the bytes, type and metadata of a version the current ones. Former versions stay."""
        source = self._client.get_blob_client(name, version_id=version_id)
        properties = source.get_blob_properties()
        content = properties.content_settings
        self._client.upload_blob(
            name,
            source.download_blob().readall(),
            overwrite=True,
            metadata=dict(properties.metadata),
            content_settings=ContentSettings(content.content_type, content_md5=content.content_md5),
        )


def plan_restore(container: VersionedContainer) -> Sequence[RestoredBlob]:
    """Return the blobs to restore, in the order of a registration: archives, digests, signatures, manifests.

    Raises:
        DeployError: If no version of a damaged archive has the registered digest.
    """
    by_name: Mapping[str, list[BlobVersion]] = defaultdict(list)
    for version in container.versions():
        by_name[version.name].append(version)
    for versions in by_name.values():
        versions.sort(key=lambda version: version.version_id, reverse=True)
    restored = [*_missing(by_name), *_damaged(container, by_name)]
    return sorted(restored, key=lambda blob: (_order(blob.name), blob.name))


def restore(container: VersionedContainer, blobs: Sequence[RestoredBlob]) -> None:
    """Restore blobs in the given order. Running it again after a failure continues."""
    for blob in blobs:
        container.write(blob.name, blob.version_id)


def _missing(by_name: Mapping[str, Sequence[BlobVersion]]) -> Iterator[RestoredBlob]:
    for name, versions in by_name.items():
        if not any(version.is_current for version in versions):
            yield RestoredBlob(name, versions[0].version_id, "deleted")


def _damaged(container: VersionedContainer, by_name: Mapping[str, Sequence[BlobVersion]]) -> Iterator[RestoredBlob]:
    """Yield each existing archive whose bytes differ from the digest of its manifest, with the version that matches."""
    for name, versions in by_name.items():
        current = next((version for version in versions if version.is_current), None)
        if current is None or not name.endswith(_ARCHIVE_SUFFIX):
            continue
        expected = _registered_digest(container, by_name, name)
        if expected is None or _digest(container, current) == expected:
            continue
        matching = [each for each in versions if each != current and _digest(container, each) == expected]
        if not matching:
            raise DeployError(
                f"no version of {name} has the registered digest {expected}: register the archive again under a new "
                "version (thale release register)"
            )
        yield RestoredBlob(name, matching[0].version_id, "other bytes than registered")


def _registered_digest(
    container: VersionedContainer, by_name: Mapping[str, Sequence[BlobVersion]], archive: str
) -> str | None:
    """Return the digest in the newest manifest of an archive, None if the archive was never registered."""
    if archive.count("/") < _ARCHIVE_DEPTH:
        return None
    model, version, digest_folder, *_ = archive.split("/")
    manifests = by_name.get(f"{model}/{version}/{MANIFEST_FILE}", ())
    for manifest in manifests:
        digest = str(json.loads(container.read(manifest.name, manifest.version_id))["digest"])
        if digest.removeprefix("sha256:").startswith(digest_folder):
            return digest
    return None


def _digest(container: VersionedContainer, version: BlobVersion) -> str:
    return f"sha256:{hashlib.sha256(container.read(version.name, version.version_id)).hexdigest()}"


def _order(name: str) -> int:
    if name.endswith(_ARCHIVE_SUFFIX):
        return 0
    return 3 if name.endswith(f"/{MANIFEST_FILE}") else 1 if name.endswith(DIGEST_SUFFIX) else 2


def open_container(url: str, credential: TokenCredential | None = None) -> VersionedContainer:
    """Return the container at a URL, with the identity of the environment or of `az login`."""
    return VersionedContainer(
        ContainerClient.from_container_url(url.rstrip("/"), credential or DefaultAzureCredential())
    )


def run_restore(container: VersionedContainer, console: Console, *, apply: bool) -> None:
    """Print the blobs to restore, and restore and verify them with `apply`.

    Raises:
        DeployError: If blobs are still missing or damaged afterwards.
    """
    blobs = plan_restore(container)
    for blob in blobs:
        console.print(f"  {blob.name}: {blob.reason}, restore {blob.version_id}", markup=False, soft_wrap=True)
    if not blobs:
        console.print("  the model store is complete", highlight=False)
        return
    if not apply:
        console.print("  dry run: nothing was changed; add --apply to restore", highlight=False)
        return
    restore(container, blobs)
    if remaining := plan_restore(container):
        raise DeployError(f"{len(remaining)} blobs are still not as registered: {remaining[0].name}; run it again")
    console.print(f"  {len(blobs)} blobs restored and verified", highlight=False)
