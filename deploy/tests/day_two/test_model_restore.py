"""Tests of the restoration of the model store, with Azure's client and a container with versions."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from deploy.day_two.model_restore import VersionedContainer, plan_restore, run_restore
from deploy.errors import DeployError
from tests.support.tiny_models import write_tiny_model
from tests.support.versioned_blobs import VersionedBlobs, run_versioned_blobs
from thale.release.registry.archive_validation import validate_archive
from thale.release.registry.stores.blob import BlobStore
from thale.release.registry.stores.model_store import archive_key, manifest_key
from thale_models.archive import write_archive

MANIFEST = manifest_key("tiny-seg", "1.0.0")


@pytest.fixture(name="blobs")
def run_blobs(tmp_path: Path) -> Iterator[VersionedBlobs]:
    with run_versioned_blobs(tmp_path) as blobs:
        yield blobs


@pytest.fixture(name="archive")
def register_archive(blobs: VersionedBlobs, tmp_path: Path) -> str:
    """Register a version as `thale release register` does; return the key of its archive."""
    model = write_tiny_model(tmp_path / "run")
    path = write_archive(model.weights, model.card, tmp_path)
    manifest = validate_archive(path).version_manifest
    key = archive_key(manifest)
    digest = manifest.digest.removeprefix("sha256:")
    blobs.put(key, path.read_bytes(), {"x-ms-meta-sha256": digest, "Content-Type": "application/zip"})
    blobs.put(f"{key}.sha256", f"{digest}  {path.name}\n".encode())
    blobs.put(MANIFEST, manifest.model_dump_json(indent=2).encode(), {"Content-Type": "application/json"})
    blobs.writes.clear()
    return key


def restore(blobs: VersionedBlobs, *, apply: bool = True) -> str:
    output = StringIO()
    run_restore(VersionedContainer(blobs.client()), Console(file=output, width=300), apply=apply)
    return output.getvalue()


def test_deleted_version_is_restored_with_its_bytes(blobs: VersionedBlobs, archive: str, tmp_path: Path) -> None:
    names = [MANIFEST, f"{archive}.sha256", archive]
    before = {name: blobs.read(name) for name in names}
    for name in names:
        blobs.delete(name)
    assert "3 blobs restored and verified" in restore(blobs)
    assert {name: blobs.read(name) for name in names} == before
    assert blobs.writes == [archive, f"{archive}.sha256", MANIFEST], "a manifest never names a missing archive"
    store = BlobStore(blobs.client())
    assert [found.card.version for found in store.versions()] == ["1.0.0"]
    assert store.fetch("tiny-seg", "1.0.0", tmp_path / "fetched").read_bytes() == before[archive]


def test_restored_blob_keeps_type_and_metadata(blobs: VersionedBlobs, archive: str) -> None:
    headers = blobs.find(archive, blobs.current[archive]).headers
    blobs.delete(archive)
    restore(blobs)
    restored = {name.lower(): value for name, value in blobs.find(archive, blobs.current[archive]).headers.items()}
    assert restored == {name.lower(): value for name, value in headers.items()}


def test_damaged_archive_gets_the_version_with_its_digest(blobs: VersionedBlobs, archive: str) -> None:
    intact = blobs.read(archive)
    for damaged in (b"encrypted by an attacker", b"encrypted again"):
        blobs.put(archive, damaged)
    assert "other bytes than registered" in restore(blobs)
    assert blobs.read(archive) == intact


def test_archive_is_compared_with_a_deleted_manifest(blobs: VersionedBlobs, archive: str) -> None:
    intact = blobs.read(archive)
    blobs.put(archive, b"damaged")
    blobs.delete(MANIFEST)
    assert "2 blobs restored" in restore(blobs)
    assert blobs.read(archive) == intact


def test_damaged_archive_without_a_good_version_is_reported(blobs: VersionedBlobs, archive: str) -> None:
    blobs.versions[archive] = []
    blobs.put(archive, b"damaged")
    with pytest.raises(DeployError, match=r"no version of .* has the registered digest"):
        restore(blobs)


def test_dry_run_lists_and_writes_nothing(blobs: VersionedBlobs, archive: str) -> None:
    blobs.delete(archive)
    assert f"{archive}: deleted, restore 2026-11-30T12:00:00" in restore(blobs, apply=False)
    assert not blobs.writes
    assert archive not in blobs.current


def test_complete_store_needs_no_restore(blobs: VersionedBlobs, archive: str) -> None:
    assert "the model store is complete" in restore(blobs)
    assert plan_restore(VersionedContainer(blobs.client())) == []
    assert archive in blobs.current


def test_archive_that_was_never_registered_is_left_alone(blobs: VersionedBlobs) -> None:
    blobs.put("tiny-seg/2.0.0/0123456789ab/model-store/tiny-seg-2.0.0.mar", b"interrupted registration")
    assert plan_restore(VersionedContainer(blobs.client())) == []
