"""Model store with the address at which the cluster reads it.

`thale release` may read a volume as a folder, while KServe mounts the same volume by `pvc://NAME/PATH`. A container of
Azure Blob Storage has one address for both.
"""

import re
from collections.abc import Mapping

from thale.errors import StoreError
from thale.release.registry.stores.model_store import ModelStore, version_folder
from thale.schemas import VersionManifest

STORE_URI_VARIABLE = "THALE_MODEL_STORE_URI"
_CLUSTER_URI = re.compile(r"pvc://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(/[\w./-]*)?|https://[^/]+/.+")
"""The addresses of the stores of thale that KServe reads. Its storage initializer refuses `file://`."""


class ClusterStore:
    """Versions of a model store, with their addresses in a cluster.

    Args:
        store: The store, as this process reads it.
        uri: Address of the same store in the cluster. None: the store has one address.

    Raises:
        StoreError: If the cluster cannot read the address.
    """

    def __init__(self, store: ModelStore, uri: str | None) -> None:
        self._store, self._uri = store, uri
        if uri is not None and not _CLUSTER_URI.fullmatch(uri):
            raise StoreError(
                f"{uri} is not the address of a store in a cluster: pass pvc://NAME/PATH for a volume with --store-uri "
                f"({STORE_URI_VARIABLE})"
            )

    def find(self, model: str, version: str) -> VersionManifest:
        """Return a registered version.

        Raises:
            UnknownVersionError: If the store does not contain it.
        """
        return self._store.find(model, version)

    def signatures(self, manifest: VersionManifest) -> Mapping[str, bytes]:
        """Return the signatures of a version by key id, valid or not."""
        return self._store.signatures(manifest)

    def uri(self, model: str, version: str) -> str:
        """Return the `storageUri` of a version.

        Raises:
            StoreError: If KServe cannot read the store, because it is a folder of this machine.
        """
        if self._uri is not None:
            return f"{self._uri.rstrip('/')}/{version_folder(self.find(model, version))}"
        address = self._store.uri(model, version)
        if not _CLUSTER_URI.fullmatch(address):
            raise StoreError(
                f"KServe cannot load {address}, a folder of this machine: pass the store's address in the cluster, "
                f"such as --store-uri pvc://store/models ({STORE_URI_VARIABLE})"
            )
        return address
