"""The thread that copies releases: each change once, and an unavailable store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.local_platform import wait_for
from tests.support.sample_releases import ANNA, make_release, make_version
from thale.errors import StoreError
from thale.release.copies.copier import ReleaseCopier
from thale.release.copies.release_copies import ReleaseCopies
from thale.release.lifecycle import transitions
from thale.release.registry.stores import FolderStore
from thale.telemetry.controller_metrics import CONTROLLER_REGISTRY

MODEL = "plate-seg"


class UnreliableStore(FolderStore):
    """A folder that cannot be written while `is_down`."""

    is_down = False
    writes = 0

    def create_object(self, key: str, data: bytes) -> bool:
        self.writes += 1
        if self.is_down:
            raise StoreError("the store is down")
        return super().create_object(key, data)


@pytest.fixture
def store(tmp_path: Path) -> UnreliableStore:
    return UnreliableStore(tmp_path)


@pytest.fixture
def copier(store: UnreliableStore) -> Iterator[ReleaseCopier]:
    copier = ReleaseCopier(ReleaseCopies(store), retry_s=0.02)
    with copier.running():
        yield copier
    copier.clear()


def pending_s() -> float:
    return CONTROLLER_REGISTRY.get_sample_value("thale_release_copy_pending_seconds") or 0.0


def test_each_change_is_copied_once(copier: ReleaseCopier, store: UnreliableStore, tmp_path: Path) -> None:
    first = make_release()
    second = transitions.start_canary(first, make_version("1.1.0"), ANNA)
    for release, count in ((first, 1), (first, 1), (second, 2)):
        copier.submit({MODEL: release})
        wait_for("the copy", lambda count=count: len(list(tmp_path.glob("plate-seg/*"))) == count)
        copier.submit({MODEL: release})
    wait_for("no pending change", lambda: copier.submit({MODEL: second}) or pending_s() == 0)
    assert store.writes == 2


def test_change_stays_pending_while_store_is_down(
    copier: ReleaseCopier, store: UnreliableStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.is_down = True
    copier.submit({MODEL: make_release()})
    wait_for("attempts", lambda: store.writes >= 3)
    copier.submit({MODEL: make_release()})
    assert pending_s() > 0
    assert [record.message for record in caplog.records].count("release copy failed") == 1
    store.is_down = False
    wait_for("the copy", lambda: list(tmp_path.glob("plate-seg/*")))
    wait_for("no pending change", lambda: copier.submit({MODEL: make_release()}) or pending_s() == 0)


def test_pending_change_is_copied_at_the_end(store: UnreliableStore, tmp_path: Path) -> None:
    copier = ReleaseCopier(ReleaseCopies(store), retry_s=600)
    store.is_down = True
    with copier.running():
        copier.submit({MODEL: make_release()})
        wait_for("an attempt", lambda: store.writes == 1)
        store.is_down = False
    assert len(list(tmp_path.glob("plate-seg/*"))) == 1


def test_cleared_copier_has_nothing_pending(store: UnreliableStore) -> None:
    copier = ReleaseCopier(ReleaseCopies(store))
    copier.submit({MODEL: make_release()})
    copier.clear()
    assert pending_s() == 0
    with copier.running():
        pass
    assert store.writes == 0
