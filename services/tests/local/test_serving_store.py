"""The model store: archived once, again only when something changed, and the record follows it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.tiny_models import tiny_model
from thale.errors import LaptopError
from thale.local.data_dir import Home
from thale.local.serving_store import fill, prepare, register, released_archives, update_record
from thale.release.lifecycle import transitions
from thale.release.registry.archive_validation import read_archive
from thale.release.registry.stores import FolderStore
from thale.release.targets.update import sign
from thale.schemas import Release, ReleaseRecord
from thale_models.archive import write_archive


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def written(store: Path) -> Mapping[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in store.glob("*.mar")}


def add_model(weights: Path, version: str, seed: int = 0) -> Path:
    folder = weights / "plate-seg" / version
    model = tiny_model(folder, "segmentation", seed, name="plate-seg", version=version)
    (folder / "card.json").write_text(model.card.model_dump_json())
    return folder


def test_an_archive_is_made_once_and_again_only_when_its_model_changes(tmp_path: Path, store: Path) -> None:
    add_model(tmp_path / "weights", "1.0.0")
    fill(store, tmp_path / "weights")
    first = written(store)
    assert list(first) == ["plate-seg-1.0.0.mar"]
    fill(store, tmp_path / "weights")
    assert written(store) == first
    add_model(tmp_path / "weights", "1.0.0", seed=1)
    fill(store, tmp_path / "weights")
    assert written(store) != first


def test_a_model_that_is_gone_goes_and_one_that_came_another_way_stays(tmp_path: Path, store: Path) -> None:
    add_model(tmp_path / "weights", "1.0.0")
    fill(store, tmp_path / "weights")
    other = tiny_model(tmp_path / "other", "segmentation", name="mine")
    write_archive(other.weights, other.card, store)
    (tmp_path / "none").mkdir()
    fill(store, tmp_path / "none")
    assert list(written(store)) == ["mine-1.0.0.mar"]


def test_no_model_at_all_and_half_a_model_are_errors(tmp_path: Path, store: Path) -> None:
    with pytest.raises(LaptopError, match="there are no models"):
        fill(store, tmp_path / "weights")
    (add_model(tmp_path / "weights", "1.0.0") / "weights.safetensors").unlink()
    with pytest.raises(LaptopError, match=r"holds no weights\.safetensors"):
        fill(store, tmp_path / "weights")


def test_weights_that_do_not_fit_their_card_are_told_in_the_archivers_words(tmp_path: Path, store: Path) -> None:
    (add_model(tmp_path / "weights", "1.0.0") / "weights.safetensors").write_bytes(b"others")
    with pytest.raises(LaptopError, match=r"(?s)cannot be archived.*SHA-256"):
        fill(store, tmp_path / "weights")


def archive(store: Path, folder: Path, version: str) -> None:
    model = tiny_model(folder / version, "segmentation", name="plate-seg", version=version)
    write_archive(model.weights, model.card, store)


def test_a_new_model_answers_with_its_highest_version_and_a_stable_one_stays_stable(
    tmp_path: Path, store: Path
) -> None:
    record = tmp_path / "traffic.json"
    for version in ("1.9.0", "1.10.0"):
        archive(store, tmp_path, version)
    assert update_record(record, store).models["plate-seg"].stable == "1.10.0"
    archive(store, tmp_path, "2.0.0")
    updated = update_record(record, store)
    assert updated.models["plate-seg"].stable == "1.10.0"
    assert set(updated.models["plate-seg"].versions) == {"1.10.0"}
    assert released_archives(record, store) == ["plate-seg-1.10.0.mar"]
    assert ReleaseRecord.model_validate_json(record.read_bytes()) == updated
    (store / "plate-seg-1.10.0.mar").unlink()
    assert update_record(record, store).models["plate-seg"].stable == "2.0.0"


def begin_rollout(home: Home, version: str) -> Release:
    """Write into the record what a canary on trial leaves there."""
    before = ReleaseRecord.model_validate_json(home.record.read_bytes()).models["plate-seg"]
    after = transitions.canary(before, FolderStore(home.registered).find("plate-seg", version), sign("anna", "better"))
    home.record.write_text(ReleaseRecord(models={"plate-seg": after}).model_dump_json())
    return after


def test_a_rollout_goes_on_after_a_stop_whatever_the_default_weights_are_by_then(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with home.hold():
        add_model(tmp_path / "weights", "1.0.0")
        assert prepare(home, tmp_path / "weights").models["plate-seg"].stable == "1.0.0"
        archive(tmp_path / "mine", tmp_path, "1.1.0")
        FolderStore(home.registered).put(tmp_path / "mine" / "plate-seg-1.1.0.mar")
        register(home)
        on_trial = begin_rollout(home, "1.1.0")
        add_model(tmp_path / "newer", "3.0.0")
        assert prepare(home, tmp_path / "newer").models["plate-seg"] == on_trial
        register(home)
    assert {version.card.version for version in FolderStore(home.registered).versions()} == {"1.0.0", "1.1.0", "3.0.0"}
    loaded = [home.model_store / name for name in released_archives(home.record, home.model_store)]
    assert [read_archive(path).released for path in loaded] == list(on_trial.versions.values())


def test_a_canary_whose_archive_is_lost_goes_and_the_rest_stays(tmp_path: Path, store: Path) -> None:
    home = Home(tmp_path)
    archive(store, tmp_path, "1.0.0")
    update_record(home.record, store)
    archive(tmp_path / "mine", tmp_path, "1.1.0")
    FolderStore(home.registered).put(tmp_path / "mine" / "plate-seg-1.1.0.mar")
    on_trial = begin_rollout(home, "1.1.0")
    after = update_record(home.record, store).models["plate-seg"]
    assert (after.stable, after.canary, after.shadow, after.weight_percent) == ("1.0.0", None, None, 0)
    assert (set(after.versions), after.history) == ({"1.0.0"}, on_trial.history)


def test_a_broken_record_or_archive_is_named(tmp_path: Path, store: Path) -> None:
    record = tmp_path / "traffic.json"
    archive(store, tmp_path, "1.0.0")
    record.write_text("{")
    with pytest.raises(LaptopError, match=r"traffic\.json cannot be read"):
        update_record(record, store)
    record.unlink()
    (store / "x.mar").write_bytes(b"no zip")
    with pytest.raises(LaptopError, match=r"x\.mar is no archive"):
        update_record(record, store)
