"""Stores of registered versions: a folder, or a container of Azure Blob Storage."""

import importlib.util
from pathlib import Path

from thale.errors import StoreError
from thale.release.registry.stores.folder import FolderStore
from thale.release.registry.stores.model_store import ModelStore, StoreResult

_AZURE_PACKAGES = ("azure", "azure.identity", "azure.storage", "azure.storage.blob")

__all__ = ["FolderStore", "ModelStore", "StoreResult", "open_store"]


def open_store(location: str) -> ModelStore:
    """Return the store at `https://ACCOUNT.blob.core.windows.net/CONTAINER`, or in a folder.

    Raises:
        StoreError: If the location is neither, or the extra `azure` is not installed.
    """
    if location.startswith("https://"):
        if any(importlib.util.find_spec(name) is None for name in _AZURE_PACKAGES):
            raise StoreError(f"{location} requires the Azure packages: pip install 'thale[azure]'")
        from thale.release.registry.stores.blob import BlobStore  # of the extra `azure`

        return BlobStore.from_url(location)
    if "://" in location:
        raise StoreError(
            f"{location} is not a model store: use a folder, or https://ACCOUNT.blob.core.windows.net/CONTAINER"
        )
    return FolderStore(Path(location).expanduser().resolve())
