from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_kubernetes_api import FakeKubernetesApi, run_fake_kubernetes_api
from thale.kserve.checkpoint import ConfigMapCheckpointStore
from thale.release.controller.checkpoint import CheckpointStore, FileCheckpointStore, load_checkpoint


@pytest.fixture
def api() -> Iterator[FakeKubernetesApi]:
    with run_fake_kubernetes_api() as running:
        yield running


@pytest.fixture(params=["file", "config map"])
def two_stores(
    request: pytest.FixtureRequest, tmp_path: Path, api: FakeKubernetesApi
) -> tuple[CheckpointStore, CheckpointStore]:
    """Return two stores of one checkpoint, as in two processes."""
    if request.param == "file":
        return FileCheckpointStore(tmp_path / "checkpoint.json"), FileCheckpointStore(tmp_path / "checkpoint.json")
    return ConfigMapCheckpointStore(api.client(), "plants", "watch"), ConfigMapCheckpointStore(
        api.client(), "plants", "watch"
    )


def test_checkpoint_store_reads_what_another_store_wrote(two_stores: tuple[CheckpointStore, CheckpointStore]) -> None:
    first, second = two_stores
    assert second.read() is None
    for text in ("grün", "", "x" * 200_000):
        first.write(text)
        assert second.read() == text


def test_checkpoint_store_never_raises_on_failed_access(tmp_path: Path, api: FakeKubernetesApi) -> None:
    api.unreachable.set()
    for store in (
        FileCheckpointStore(tmp_path / "missing" / "checkpoint.json"),
        FileCheckpointStore(tmp_path),
        ConfigMapCheckpointStore(api.client(), "p", "w"),
    ):
        store.write("text")
        assert store.read() is None


def test_checkpoint_store_logs_a_lasting_failure_once(
    tmp_path: Path, api: FakeKubernetesApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.unreachable.set()
    for store in (FileCheckpointStore(tmp_path), ConfigMapCheckpointStore(api.client(), "p", "w")):
        caplog.clear()
        for _ in range(2):
            store.write("text")
        assert [record.message for record in caplog.records] == ["checkpoint write failed"]


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"\xff\xfe", b'{"leader": "me", "saved_at": "now", "rollouts": {"seg": 1}}']
)
def test_load_checkpoint_returns_none_for_invalid_text(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "checkpoint.json"
    path.write_bytes(text)
    assert load_checkpoint(FileCheckpointStore(path)) is None
