"""The model store: archived once, again only when something changed, and the record follows it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.tiny_models import write_tiny_model
from thale.errors import LocalPlatformError
from thale.local.data_dir import DataDir
from thale.local.serving_store import (
    prepare_store,
    register_archives,
    released_archives,
    sync_archives,
    update_release_state,
)
from thale.release.lifecycle import transitions
from thale.release.registry.archive_validation import validate_archive
from thale.release.registry.stores import FolderStore
from thale.release.targets.update import author_now
from thale.schemas import Release, ReleaseState
from thale_models.archive import write_archive


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def archive_mtimes(store: Path) -> Mapping[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in store.glob("*.mar")}


def add_model(weights: Path, version: str, seed: int = 0) -> Path:
    folder = weights / "plate-seg" / version
    model = write_tiny_model(folder, "segmentation", seed, name="plate-seg", version=version)
    (folder / "card.json").write_text(model.card.model_dump_json())
    return folder


def test_an_archive_is_made_once_and_again_only_when_its_model_changes(tmp_path: Path, store: Path) -> None:
    add_model(tmp_path / "weights", "1.0.0")
    sync_archives(store, tmp_path / "weights")
    first = archive_mtimes(store)
    assert list(first) == ["plate-seg-1.0.0.mar"]
    sync_archives(store, tmp_path / "weights")
    assert archive_mtimes(store) == first
    add_model(tmp_path / "weights", "1.0.0", seed=1)
    sync_archives(store, tmp_path / "weights")
    assert archive_mtimes(store) != first


def test_a_model_that_is_gone_goes_and_one_that_came_another_way_stays(tmp_path: Path, store: Path) -> None:
    add_model(tmp_path / "weights", "1.0.0")
    sync_archives(store, tmp_path / "weights")
    other = write_tiny_model(tmp_path / "other", "segmentation", name="mine")
    write_archive(other.weights, other.card, store)
    (tmp_path / "none").mkdir()
    sync_archives(store, tmp_path / "none")
    assert list(archive_mtimes(store)) == ["mine-1.0.0.mar"]


def test_no_model_at_all_and_half_a_model_are_errors(tmp_path: Path, store: Path) -> None:
    with pytest.raises(LocalPlatformError, match="there are no models"):
        sync_archives(store, tmp_path / "weights")
    (add_model(tmp_path / "weights", "1.0.0") / "weights.safetensors").unlink()
    with pytest.raises(LocalPlatformError, match=r"holds no weights\.safetensors"):
        sync_archives(store, tmp_path / "weights")


def test_weights_that_do_not_fit_their_card_are_told_in_the_archivers_words(tmp_path: Path, store: Path) -> None:
    (add_model(tmp_path / "weights", "1.0.0") / "weights.safetensors").write_bytes(b"others")
    with pytest.raises(LocalPlatformError, match=r"(?s)cannot be archived.*SHA-256"):
        sync_archives(store, tmp_path / "weights")


def add_archive(store: Path, folder: Path, version: str) -> None:
    model = write_tiny_model(folder / version, "segmentation", name="plate-seg", version=version)
    write_archive(model.weights, model.card, store)


def test_a_new_model_answers_with_its_highest_version_and_a_stable_one_stays_stable(
    tmp_path: Path, store: Path
) -> None:
    record = tmp_path / "release-state.json"
    for version in ("1.9.0", "1.10.0"):
        add_archive(store, tmp_path, version)
    assert update_release_state(record, store).models["plate-seg"].stable == "1.10.0"
    add_archive(store, tmp_path, "2.0.0")
    updated = update_release_state(record, store)
    assert updated.models["plate-seg"].stable == "1.10.0"
    assert set(updated.models["plate-seg"].versions) == {"1.10.0"}
    assert released_archives(record, store) == ["plate-seg-1.10.0.mar"]
    assert ReleaseState.model_validate_json(record.read_bytes()) == updated
    (store / "plate-seg-1.10.0.mar").unlink()
    assert update_release_state(record, store).models["plate-seg"].stable == "2.0.0"


def start_rollout(data_dir: DataDir, version: str) -> Release:
    """Write into the record what a canary on trial leaves there."""
    before = ReleaseState.model_validate_json(data_dir.release_state.read_bytes()).models["plate-seg"]
    after = transitions.start_canary(
        before, FolderStore(data_dir.registry).find("plate-seg", version), author_now("anna", "better")
    )
    data_dir.release_state.write_text(ReleaseState(models={"plate-seg": after}).model_dump_json())
    return after


def test_a_rollout_goes_on_after_a_stop_whatever_the_default_weights_are_by_then(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "home")
    with data_dir.lock():
        add_model(tmp_path / "weights", "1.0.0")
        assert prepare_store(data_dir, tmp_path / "weights").models["plate-seg"].stable == "1.0.0"
        add_archive(tmp_path / "mine", tmp_path, "1.1.0")
        FolderStore(data_dir.registry).put(tmp_path / "mine" / "plate-seg-1.1.0.mar")
        register_archives(data_dir)
        on_trial = start_rollout(data_dir, "1.1.0")
        add_model(tmp_path / "newer", "3.0.0")
        assert prepare_store(data_dir, tmp_path / "newer").models["plate-seg"] == on_trial
        register_archives(data_dir)
    assert {version.card.version for version in FolderStore(data_dir.registry).versions()} == {
        "1.0.0",
        "1.1.0",
        "3.0.0",
    }
    loaded = [data_dir.model_store / name for name in released_archives(data_dir.release_state, data_dir.model_store)]
    assert [validate_archive(path).version_manifest for path in loaded] == list(on_trial.versions.values())


def test_a_canary_whose_archive_is_lost_goes_and_the_rest_stays(tmp_path: Path, store: Path) -> None:
    data_dir = DataDir(tmp_path)
    add_archive(store, tmp_path, "1.0.0")
    update_release_state(data_dir.release_state, store)
    add_archive(tmp_path / "mine", tmp_path, "1.1.0")
    FolderStore(data_dir.registry).put(tmp_path / "mine" / "plate-seg-1.1.0.mar")
    on_trial = start_rollout(data_dir, "1.1.0")
    after = update_release_state(data_dir.release_state, store).models["plate-seg"]
    assert (after.stable, after.canary, after.shadow, after.weight_percent) == ("1.0.0", None, None, 0)
    assert (set(after.versions), after.history) == ({"1.0.0"}, on_trial.history)


def test_a_broken_record_or_archive_is_named(tmp_path: Path, store: Path) -> None:
    record = tmp_path / "release-state.json"
    add_archive(store, tmp_path, "1.0.0")
    record.write_text("{")
    with pytest.raises(LocalPlatformError, match=r"release-state\.json cannot be read"):
        update_release_state(record, store)
    record.unlink()
    (store / "x.mar").write_bytes(b"no zip")
    with pytest.raises(LocalPlatformError, match=r"x\.mar is no archive"):
        update_release_state(record, store)
