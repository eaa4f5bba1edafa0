"""Blob store: a folder, and Azure Blob Storage through Azurite."""

import hashlib
from pathlib import Path

import pytest

from thale.errors import ExperimentStoreError
from thale.experiments.blobs import ImageBlobs, open_blob_store

DATA = b"bytes of an image"
SHA256 = hashlib.sha256(DATA).hexdigest()


def check_blobs(blobs: ImageBlobs) -> None:
    for _ in range(2):
        blobs.put(SHA256, DATA)
    assert blobs.get(SHA256) == DATA
    blobs.delete(SHA256)
    blobs.delete(SHA256)
    with pytest.raises(ExperimentStoreError, match="cannot be read"):
        blobs.get(SHA256)


def test_folder_keeps_bytes_by_digest(tmp_path: Path) -> None:
    check_blobs(open_blob_store(tmp_path))


def test_truncated_bytes_are_written_again(tmp_path: Path) -> None:
    blobs = open_blob_store(tmp_path)
    blobs.put(SHA256, DATA)
    [path] = [path for path in tmp_path.rglob("*") if path.is_file()]
    path.write_bytes(DATA[:5])
    with pytest.raises(ExperimentStoreError, match="is damaged"):
        blobs.get(SHA256)
    blobs.put(SHA256, DATA)
    assert blobs.get(SHA256) == DATA


def test_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    blobs = open_blob_store(tmp_path)
    (tmp_path / "blobs" / "images").write_text("a file in the place of the folder")
    with pytest.raises(ExperimentStoreError, match="free space or check the access"):
        blobs.put(SHA256, DATA)


@pytest.mark.integration
def test_container_keeps_bytes_by_digest(tmp_path: Path) -> None:
    from obstore.store import AzureStore

    from tests.support.azurite_server import FakeCredential, run_azurite

    with run_azurite(tmp_path) as azurite:
        url = azurite.container("images")
        account_url, _, container = url.rpartition("/")
        store = AzureStore(
            container,
            account_name="devstoreaccount1",
            endpoint=account_url,
            bearer_token=FakeCredential().get_token().token,
            client_options={"allow_invalid_certificates": True},
        )
        check_blobs(ImageBlobs(store, url))
