"""Model store in a container of Azure Blob Storage, with Entra identities: no account keys, no SAS.

Blobs are written with `If-None-Match: *`, which the service evaluates, so one of two concurrent registrations fails.
The immutability policy of the container prevents changes by other clients.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Self

from azure.core.credentials import TokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.identity import DefaultAzureCredential
from azure.storage.blob import ContainerClient, ContentSettings, ExponentialRetry, StorageErrorCode

from thale.errors import StoreError
from thale.release.registry.archive_validation import ValidatedArchive
from thale.release.registry.stores.model_store import MANIFEST_FILE, ModelStore

_REQUIRED_ROLES = "Storage Blob Data Contributor (or Reader, if it only serves)"
_MAX_MANIFEST_BYTES = 2**20
_DIGEST_METADATA_KEY = "sha256"
_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S = 5, 60


class BlobStore(ModelStore):
    """The store in an existing container. Terraform creates it."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    @classmethod
    def from_url(cls, url: str, credential: TokenCredential | None = None, *, certificates: Path | None = None) -> Self:
        """Return the store in the container at a URL.

        Args:
            url: `https://ACCOUNT.blob.core.windows.net/CONTAINER`.
            credential: By default workload identity, managed identity, environment variables or `az login`.
            certificates: File of certificate authorities to trust instead of the system's.
        """
        return cls(
            ContainerClient.from_container_url(
                url.rstrip("/"),
                credential or DefaultAzureCredential(),
                retry_policy=ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=3),
                connection_timeout=_CONNECT_TIMEOUT_S,
                read_timeout=_READ_TIMEOUT_S,
                connection_verify=str(certificates) if certificates else True,
            )
        )

    def read_object(self, key: str) -> bytes | None:
        """Return a small object, None if it does not exist."""
        with self._translate_errors():
            try:
                return self._container.download_blob(key, offset=0, length=_MAX_MANIFEST_BYTES).readall()
            except ResourceNotFoundError as error:
                if getattr(error, "error_code", None) == StorageErrorCode.CONTAINER_NOT_FOUND:
                    raise
                return None

    def create_object(self, key: str, data: bytes) -> bool:
        """Write a small object atomically. Return False, without a change, if it exists."""
        with self._translate_errors():
            try:
                self._container.upload_blob(key, data, content_settings=_settings("application/json", data))
            except (ResourceExistsError, ResourceModifiedError):
                return False
        return True

    def _put_archive(self, archive: ValidatedArchive, key: str) -> None:
        digest = archive.digest.removeprefix("sha256:")
        blob = self._container.get_blob_client(key)
        with self._translate_errors(), archive.path.open("rb") as file:
            md5 = hashlib.file_digest(file, _md5).digest()
            size = file.tell()
            file.seek(0)
            # An existing blob is from an earlier attempt or a concurrent registration. It is verified below.
            with suppress(ResourceExistsError, ResourceModifiedError):
                blob.upload_blob(
                    file,
                    length=size,
                    metadata={
                        _DIGEST_METADATA_KEY: digest,
                        "model": archive.card.name,
                        "version": archive.card.version,
                    },
                    content_settings=ContentSettings("application/zip", content_md5=bytearray(md5)),
                    validate_content=True,  # an MD5 for every block, in addition to TLS
                )
            properties = blob.get_blob_properties()
        found = (
            properties.size,
            properties.metadata.get(_DIGEST_METADATA_KEY),
            bytes(properties.content_settings.content_md5 or b""),
        )
        if found != (size, digest, md5):
            raise StoreError(f"the bytes of {blob.url} do not match its digest: delete that blob and register again")

    def object_names(self, folder: str) -> Iterable[str]:
        """Return the names of the objects directly in a folder. Empty if it does not exist."""
        with self._translate_errors():
            keys = list(self._container.list_blob_names(name_starts_with=f"{folder}/"))
        return [key.rpartition("/")[2] for key in keys if key.rpartition("/")[0] == folder]

    def _manifest_keys(self) -> Iterator[str]:
        with self._translate_errors():
            for key in self._container.list_blob_names():
                if key.endswith(f"/{MANIFEST_FILE}"):
                    yield key

    def _read_chunks(self, key: str) -> Iterator[bytes]:
        with self._translate_errors():
            yield from self._container.download_blob(key).chunks()

    def _object_uri(self, key: str) -> str:
        return f"{self._container.url}/{key}"

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Raise errors of the service and of the connection as a StoreError with the remedy."""
        url = self._container.url
        try:
            yield
        except ClientAuthenticationError as error:
            raise StoreError(f"no credential for {url}: run `az login`, or run with a workload identity") from error
        except ResourceNotFoundError as error:
            raise StoreError(f"{url} was not found, or one of its blobs: check the address") from error
        except HttpResponseError as error:
            if error.status_code == HTTPStatus.FORBIDDEN:
                message = f"{url} rejected this identity: assign it the role {_REQUIRED_ROLES} on the container"
            else:
                message = f"{url} returned {error.status_code} ({error.message}): try again"
            raise StoreError(message) from error
        except AzureError as error:
            raise StoreError(f"{url} cannot be reached ({error.message}): check the address and the network") from error


def _settings(content_type: str, data: bytes) -> ContentSettings:
    return ContentSettings(content_type, content_md5=bytearray(_md5(data).digest()))


def _md5(data: bytes = b"") -> "hashlib._Hash":
    """Return the MD5 that the service stores with a blob. It detects damage only. The SHA-256 identifies an archive."""
    return hashlib.md5(data, usedforsecurity=False)
