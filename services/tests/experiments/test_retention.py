"""Retention: expired experiments are deleted once, others stay, and an interrupted deletion is continued."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from alembic import command
from sqlalchemy import text

from tests.support.sample_experiments import measurement_of, new_image
from thale.errors import ExperimentStoreError, UnknownExperimentError
from thale.experiments.address import StoreAddress
from thale.experiments.store import ExperimentStore
from thale.facade.experiments.retention import delete_expired_experiments
from thale.facade.experiments.store_client import StoreClient
from thale.schemas.experiment import ExperimentUpdate

LAST_DAY = date(2026, 12, 31)
NEXT_DAY = LAST_DAY + timedelta(days=1)


def test_experiment_is_deleted_after_its_last_day(store: ExperimentStore) -> None:
    shared, own = new_image("shared.jpg"), new_image("own.jpg")
    for name, day, images in [("expires", LAST_DAY, (shared, own)), ("stays", None, (shared,))]:
        assert store.experiments.create(name, "", "local", day).retain_until == day
        for image in images:
            store.images.add(name, image, measurement_of(image))
    assert not store.experiments.delete_expired(LAST_DAY).deleted
    [deleted] = store.experiments.delete_expired(NEXT_DAY).deleted
    assert deleted.images == 1
    with pytest.raises(UnknownExperimentError):
        store.experiments.get("expires")
    assert store.images.read(shared.metadata.sha256) == shared.data
    with pytest.raises(ExperimentStoreError, match="cannot be read"):
        store.images.read(own.metadata.sha256)
    assert not store.experiments.delete_expired(NEXT_DAY).deleted


def test_last_day_is_changed_and_removed(store: ExperimentStore) -> None:
    store.experiments.create("a", "first", "local", LAST_DAY)
    later = LAST_DAY + timedelta(days=400)
    changed = store.experiments.update("a", ExperimentUpdate(retain_until=later))
    assert (changed.retain_until, changed.description) == (later, "first")
    assert not store.experiments.delete_expired(NEXT_DAY).deleted
    changed = store.experiments.update("a", ExperimentUpdate.model_validate({"retain_until": None}))
    assert changed.retain_until is None
    changed = store.experiments.update("a", ExperimentUpdate(description="second"))
    assert (changed.retain_until, changed.description) == (None, "second")
    assert not store.experiments.delete_expired(date(9999, 12, 31)).deleted
    with pytest.raises(UnknownExperimentError):
        store.experiments.update("b", ExperimentUpdate(description="x"))


def test_processes_delete_an_expired_experiment_once(store: ExperimentStore) -> None:
    for number in range(6):
        store.experiments.create(f"e{number}", "", "local", LAST_DAY)
    with ThreadPoolExecutor(3) as threads:
        results = list(threads.map(lambda _: store.experiments.delete_expired(NEXT_DAY).deleted, range(3)))
    assert len({deleted.id for result in results for deleted in result}) == sum(map(len, results)) == 6


def test_failed_deletion_is_continued_and_blocks_no_other(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [new_image(f"p{number}.jpg", bytes([number]) * 9) for number in range(3)]
    ids = {name: store.experiments.create(name, "", "local", LAST_DAY).id for name in "abc"}
    for image in images:
        store.images.add("b", image, None)
    blobs, attempts = store.experiments._blobs, []

    class FailingBlobs:
        def delete(self, sha256: str) -> None:
            attempts.append(sha256)
            if len(attempts) == 2:
                raise ExperimentStoreError("the network is down")
            blobs.delete(sha256)

    with monkeypatch.context() as patch:
        patch.setattr(store.experiments, "_blobs", FailingBlobs())
        result = store.experiments.delete_expired(NEXT_DAY)
    assert {experiment.id for experiment in result.deleted} == {ids["a"], ids["c"]}
    assert result.failed == (ids["b"],)
    assert store.experiments.get("b").images == 3
    result = store.experiments.delete_expired(NEXT_DAY)
    assert ([experiment.images for experiment in result.deleted], result.failed) == ([3], ())
    for image in images:
        with pytest.raises(ExperimentStoreError):
            store.images.read(image.metadata.sha256)


def test_store_of_the_first_schema_is_migrated(address: StoreAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0001"))
        old = ExperimentStore.open(address)
        insert = "INSERT INTO experiments VALUES ('exp-1', 'old', '', '2026-11-01T00:00:00+00:00', 'local', '[]')"
        with old.database.write() as connection:
            connection.execute(text(insert))
        old.close()
    new = ExperimentStore.open(address)
    assert (new.experiments.get("old").id, new.experiments.get("old").retain_until) == ("exp-1", None)
    new.close()


def test_facade_deletes_expired_experiments(address: StoreAddress) -> None:
    store = ExperimentStore.open(address)
    today = datetime.now(UTC).date()
    store.experiments.create("expired", "", "local", today - timedelta(days=1))
    store.experiments.create("current", "", "local", today + timedelta(days=1))

    async def run() -> None:
        client = StoreClient(address)
        async with delete_expired_experiments(client, 0.0, 0.05), asyncio.timeout(20):
            while [item.name for item in store.experiments.list(9, None).items] != ["current"]:
                await asyncio.sleep(0.02)
        client.close()

    asyncio.run(run())
    store.close()
