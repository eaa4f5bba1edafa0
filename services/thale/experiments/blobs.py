"""Blob store of image bytes by their SHA-256: a folder, or a container of Azure Blob Storage, through obstore.

A blob is written once and never changed, so that the same bytes are stored once.
"""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from thale.errors import ExperimentStoreError

if TYPE_CHECKING:
    from obstore.store import ObjectStore


class ImageBlobs:
    """Bytes by digest."""

    def __init__(self, store: "ObjectStore", address: str, folder: Path | None = None) -> None:
        self._store = store
        self._address = address
        self._folder = folder

    def put(self, sha256: str, data: bytes) -> None:
        """Store bytes. Does nothing if they are stored already.

        Raises:
            ExperimentStoreError: If they cannot be written, for example because the disk is full.
        """
        import obstore
        from obstore.exceptions import BaseError, NotFoundError

        try:
            try:
                if obstore.head(self._store, _key(sha256))["size"] == len(data):
                    return
            except (NotFoundError, FileNotFoundError):
                pass
            obstore.put(self._store, _key(sha256), data)  # a folder: a temporary file, then a rename
            if self._folder is not None:
                _synchronise(self._folder / _key(sha256))
        except (BaseError, OSError) as error:
            raise self._error("be written", error) from error

    def get(self, sha256: str) -> bytes:
        """Return the bytes with a digest.

        Raises:
            ExperimentStoreError: If they cannot be read, or are not those of the digest.
        """
        import obstore
        from obstore.exceptions import BaseError

        try:
            data = bytes(obstore.get(self._store, _key(sha256)).bytes())
        except (BaseError, OSError) as error:
            raise self._error("be read", error) from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ExperimentStoreError(
                f"the image {sha256} in {self._address} is damaged: restore it from a backup, or add it again"
            )
        return data

    def delete(self, sha256: str) -> None:
        """Delete bytes. Does nothing if they do not exist.

        Raises:
            ExperimentStoreError: If they cannot be deleted.
        """
        import obstore
        from obstore.exceptions import BaseError, NotFoundError

        try:
            obstore.delete(self._store, _key(sha256))
        except (NotFoundError, FileNotFoundError):
            pass
        except (BaseError, OSError) as error:
            raise self._error("be deleted", error) from error

    def _error(self, verb: str, error: Exception) -> ExperimentStoreError:
        cause = " ".join(str(error).split())[:300]
        return ExperimentStoreError(
            f"an image cannot {verb} in {self._address} ({cause}): free space or check the access, then retry"
        )


def _synchronise(path: Path) -> None:
    """Write a file and the entry of its folder to the disk, which obstore leaves to the system."""
    for each in (path, path.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _key(sha256: str) -> str:
    return f"images/{sha256[:2]}/{sha256}"


def open_blob_store(folder: Path, url: str | None = None) -> ImageBlobs:
    """Return the blob store at a URL such as https://ACCOUNT.blob.core.windows.net/CONTAINER, or in a folder.

    A container uses the workload identity or `az login` of this process, through DefaultAzureCredential.

    Raises:
        ExperimentStoreError: If the folder cannot be created.
    """
    if url is not None:
        return ImageBlobs(_azure_store(url), url)
    from obstore.store import LocalStore

    path = folder / "blobs"
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ExperimentStoreError(
            f"{path} cannot be created ({error.strerror}): check the permissions of its folder"
        ) from error
    return ImageBlobs(LocalStore(path), str(path), path)


def _azure_store(url: str) -> "ObjectStore":
    from azure.identity import DefaultAzureCredential
    from obstore.auth.azure import AzureCredentialProvider
    from obstore.store import AzureStore

    address = urlsplit(url)
    account, container = (address.hostname or "").partition(".")[0], address.path.strip("/")
    return AzureStore(
        container,
        account_name=account,
        credential_provider=AzureCredentialProvider(DefaultAzureCredential()),
        retry_config={"max_retries": 2},
        client_options={"timeout": "30s", "connect_timeout": "5s"},
    )
