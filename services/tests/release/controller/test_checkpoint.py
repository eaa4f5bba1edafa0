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
    """The same notes as two processes have them."""
    if request.param == "file":
        return FileCheckpointStore(tmp_path / "checkpoint.json"), FileCheckpointStore(tmp_path / "checkpoint.json")
    return ConfigMapCheckpointStore(api.client(), "plants", "watch"), ConfigMapCheckpointStore(
        api.client(), "plants", "watch"
    )


def test_what_one_notes_down_the_next_one_reads(two_stores: tuple[CheckpointStore, CheckpointStore]) -> None:
    first, second = two_stores
    assert second.read() is None
    for text in ("grün", "", "x" * 200_000):
        first.write(text)
        assert second.read() == text


def test_notes_that_cannot_be_kept_cost_nobody_anything(tmp_path: Path, api: FakeKubernetesApi) -> None:
    api.unreachable.set()
    for notes in (
        FileCheckpointStore(tmp_path / "gone" / "notes"),
        FileCheckpointStore(tmp_path),
        ConfigMapCheckpointStore(api.client(), "p", "w"),
    ):
        notes.write("text")
        assert notes.read() is None


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"\xff\xfe", b'{"leader": "me", "saved_at": "now", "rollouts": {"seg": 1}}']
)
def test_notes_that_make_no_sense_are_no_notes(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "notes"
    path.write_bytes(text)
    assert load_checkpoint(FileCheckpointStore(path)) is None
