"""A model store in a container of Azure Blob Storage, reached by identity alone: no account keys, no SAS.

Blobs are written under the condition that there is none (`If-None-Match: *`), which the service decides, so two who
register at once cannot both win. The container's immutability policy guards against everybody else.
"""

import hashlib
from collections.abc import Iterator
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

_REQUIRED_ROLES = "Storage Blob Data Contributor (Reader, where it only serves)"
_MAX_MANIFEST_BYTES = 2**20
_DIGEST_METADATA_KEY = "sha256"
_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S = 5, 60


class BlobStore(ModelStore):
    """The store in a container, which is there already: Terraform makes it."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    @classmethod
    def from_url(cls, url: str, credential: TokenCredential | None = None, *, certificates: Path | None = None) -> Self:
        """Return the store in the container of that URL.

        Args:
            url: `https://ACCOUNT.blob.core.windows.net/CONTAINER`.
            credential: Who asks; workload identity, managed identity, environment or `az login` if not given.
            certificates: Certificate authorities to trust instead of the system's.
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

    def _read(self, key: str) -> bytes | None:
        with self._translate_errors():
            try:
                return self._container.download_blob(key, offset=0, length=_MAX_MANIFEST_BYTES).readall()
            except ResourceNotFoundError as error:
                if getattr(error, "error_code", None) == StorageErrorCode.CONTAINER_NOT_FOUND:
                    raise
                return None

    def _write_new(self, key: str, data: bytes) -> bool:
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
            # What is there already is of an earlier attempt, or of somebody who is as far: checked below like our own.
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
                    validate_content=True,  # every piece with its MD5, beside what TLS checks
                )
            properties = blob.get_blob_properties()
        found = (
            properties.size,
            properties.metadata.get(_DIGEST_METADATA_KEY),
            bytes(properties.content_settings.content_md5 or b""),
        )
        if found != (size, digest, md5):
            raise StoreError(f"{blob.url} has other bytes than its name says: delete that blob and register again")

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
        """Raise what the service or the way there makes impossible as a StoreError that says what to do."""
        url = self._container.url
        try:
            yield
        except ClientAuthenticationError as error:
            raise StoreError(
                f"nobody is signed in who may use {url}: sign in with `az login`, or run where a workload identity is"
            ) from error
        except ResourceNotFoundError as error:
            raise StoreError(f"{url} is not there, or not all of it: check the address") from error
        except HttpResponseError as error:
            if error.status_code == HTTPStatus.FORBIDDEN:
                message = f"{url} refuses this identity: give it the role {_REQUIRED_ROLES} on the container"
            else:
                message = f"{url} answered {error.status_code} ({error.message}): try again"
            raise StoreError(message) from error
        except AzureError as error:
            raise StoreError(f"{url} cannot be reached ({error.message}): check the address and the network") from error


def _settings(content_type: str, data: bytes) -> ContentSettings:
    return ContentSettings(content_type, content_md5=bytearray(_md5(data).digest()))


def _md5(data: bytes = b"") -> "hashlib._Hash":
    """Return the MD5 that the service keeps with a blob. It finds damage; SHA-256 is what identifies."""
    return hashlib.md5(data, usedforsecurity=False)
