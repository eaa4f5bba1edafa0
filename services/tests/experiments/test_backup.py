"""Backup and restore of a store, drilled: everything that was stored is there afterwards."""

import threading
from pathlib import Path

import pytest

from tests.support.sample_experiments import measurement_of, new_image
from thale.errors import ExperimentStoreError
from thale.experiments.address import StoreAddress
from thale.experiments.backup import back_up, restore
from thale.experiments.store import ExperimentStore


def add_images(store: ExperimentStore, names: list[str]) -> None:
    for name in names:
        image = new_image(name)
        store.images.add("a", image, measurement_of(image))


def test_lost_store_is_restored_from_its_backup(tmp_path: Path) -> None:
    folder = tmp_path / "experiments"
    store = ExperimentStore.open(StoreAddress(folder))
    store.experiments.create("a", "", "local")
    add_images(store, ["p1.jpg", "p2.jpg"])
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            add_images(store, [f"later {number}.jpg"])
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        count = back_up(folder, tmp_path / "backup")
    finally:
        stop.set()
        writer.join(60)
    store.close()
    folder.rename(tmp_path / "lost")
    assert restore(tmp_path / "backup", folder) == count >= 2
    restored = ExperimentStore.open(StoreAddress(folder))
    images = restored.images.list("a", 500, 0).items
    assert len(images) == count
    for image in images:
        assert restored.images.read(image.sha256) == image.name.encode()
        assert restored.measurements.find(image.measurement_id or "") is not None
    restored.close()


def test_restore_overwrites_nothing(tmp_path: Path) -> None:
    store = ExperimentStore.open(StoreAddress(tmp_path / "experiments"))
    store.close()
    back_up(tmp_path / "experiments", tmp_path / "backup")
    with pytest.raises(ExperimentStoreError, match="move it away before a restore"):
        restore(tmp_path / "backup", tmp_path / "experiments")
    with pytest.raises(ExperimentStoreError, match="choose a new folder"):
        back_up(tmp_path / "experiments", tmp_path / "backup")
    with pytest.raises(ExperimentStoreError, match="is no backup"):
        restore(tmp_path, tmp_path / "other")


def test_damaged_image_fails_the_backup(tmp_path: Path) -> None:
    store = ExperimentStore.open(StoreAddress(tmp_path / "experiments"))
    store.experiments.create("a", "", "local")
    add_images(store, ["p1.jpg"])
    store.close()
    [path] = [path for path in (tmp_path / "experiments" / "blobs").rglob("*") if path.is_file()]
    path.write_bytes(b"other bytes")
    with pytest.raises(ExperimentStoreError, match="is damaged"):
        back_up(tmp_path / "experiments", tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
