"""Tests of the serving store: archives of the weights, and the release state."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.tiny_models import write_tiny_model
from thale.errors import LocalPlatformError, SignatureError
from thale.local.data_dir import DataDir
from thale.local.serving_store import (
    prepare_store,
    register_archives,
    released_archives,
    sync_archives,
    update_release_state,
    verified_archives,
)
from thale.release.lifecycle import transitions
from thale.release.registry.archive_validation import validate_archive
from thale.release.registry.signatures import PUBLIC_KEYS_VARIABLE, signature_name
from thale.release.registry.signing import PRIVATE_KEY_FILE, PUBLIC_KEY_FILE, generate_key_pair, sign_archive
from thale.release.registry.stores import FolderStore
from thale.release.targets.local import copy_to_serving_dir
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


@pytest.mark.slow
def test_sync_archives_rebuilds_only_changed_models(tmp_path: Path, store: Path) -> None:
    add_model(tmp_path / "weights", "1.0.0")
    sync_archives(store, tmp_path / "weights")
    first = archive_mtimes(store)
    assert list(first) == ["plate-seg-1.0.0.mar"]
    sync_archives(store, tmp_path / "weights")
    assert archive_mtimes(store) == first
    add_model(tmp_path / "weights", "1.0.0", seed=1)
    sync_archives(store, tmp_path / "weights")
    assert archive_mtimes(store) != first


@pytest.mark.slow
def test_sync_archives_deletes_only_archives_it_built(tmp_path: Path, store: Path) -> None:
    add_model(tmp_path / "weights", "1.0.0")
    sync_archives(store, tmp_path / "weights")
    other = write_tiny_model(tmp_path / "other", "segmentation", name="mine")
    write_archive(other.weights, other.card, store)
    (tmp_path / "empty").mkdir()
    sync_archives(store, tmp_path / "empty")
    assert list(archive_mtimes(store)) == ["mine-1.0.0.mar"]


def test_sync_archives_rejects_missing_and_incomplete_models(tmp_path: Path, store: Path) -> None:
    with pytest.raises(LocalPlatformError, match="there are no models"):
        sync_archives(store, tmp_path / "weights")
    (add_model(tmp_path / "weights", "1.0.0") / "weights.safetensors").unlink()
    with pytest.raises(LocalPlatformError, match=r"has no weights\.safetensors"):
        sync_archives(store, tmp_path / "weights")


@pytest.mark.slow
def test_sync_archives_error_has_output_of_archiver(tmp_path: Path, store: Path) -> None:
    (add_model(tmp_path / "weights", "1.0.0") / "weights.safetensors").write_bytes(b"other weights")
    with pytest.raises(LocalPlatformError, match=r"(?s)cannot be archived.*SHA-256"):
        sync_archives(store, tmp_path / "weights")


def add_archive(store: Path, folder: Path, version: str) -> None:
    model = write_tiny_model(folder / version, "segmentation", name="plate-seg", version=version)
    write_archive(model.weights, model.card, store)


def test_update_release_state_selects_highest_new_version(tmp_path: Path, store: Path) -> None:
    state_file = tmp_path / "release-state.json"
    for version in ("1.9.0", "1.10.0"):
        add_archive(store, tmp_path, version)
    assert update_release_state(state_file, store).models["plate-seg"].stable == "1.10.0"
    add_archive(store, tmp_path, "2.0.0")
    updated = update_release_state(state_file, store)
    assert updated.models["plate-seg"].stable == "1.10.0"
    assert set(updated.models["plate-seg"].versions) == {"1.10.0"}
    assert released_archives(state_file, store) == ["plate-seg-1.10.0.mar"]
    assert ReleaseState.model_validate_json(state_file.read_bytes()) == updated
    (store / "plate-seg-1.10.0.mar").unlink()
    assert update_release_state(state_file, store).models["plate-seg"].stable == "2.0.0"


def start_rollout(data_dir: DataDir, version: str) -> Release:
    """Write a release state with a canary."""
    before = ReleaseState.model_validate_json(data_dir.release_state.read_bytes()).models["plate-seg"]
    after = transitions.start_canary(
        before, FolderStore(data_dir.registry).find("plate-seg", version), author_now("anna", "better")
    )
    data_dir.release_state.write_text(ReleaseState(models={"plate-seg": after}).model_dump_json())
    return after


@pytest.mark.slow
def test_prepare_store_restores_rollout_despite_newer_weights(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "home")
    with data_dir.lock():
        add_model(tmp_path / "weights", "1.0.0")
        assert prepare_store(data_dir, tmp_path / "weights").models["plate-seg"].stable == "1.0.0"
        add_archive(tmp_path / "mine", tmp_path, "1.1.0")
        FolderStore(data_dir.registry).put(tmp_path / "mine" / "plate-seg-1.1.0.mar")
        register_archives(data_dir)
        rollout = start_rollout(data_dir, "1.1.0")
        add_model(tmp_path / "newer", "3.0.0")
        assert prepare_store(data_dir, tmp_path / "newer").models["plate-seg"] == rollout
        register_archives(data_dir)
    assert {version.card.version for version in FolderStore(data_dir.registry).versions()} == {
        "1.0.0",
        "1.1.0",
        "3.0.0",
    }
    loaded = [data_dir.model_store / name for name in released_archives(data_dir.release_state, data_dir.model_store)]
    assert [validate_archive(path).version_manifest for path in loaded] == list(rollout.versions.values())


def test_update_release_state_removes_canary_without_archive(tmp_path: Path, store: Path) -> None:
    data_dir = DataDir(tmp_path)
    add_archive(store, tmp_path, "1.0.0")
    update_release_state(data_dir.release_state, store)
    add_archive(tmp_path / "mine", tmp_path, "1.1.0")
    FolderStore(data_dir.registry).put(tmp_path / "mine" / "plate-seg-1.1.0.mar")
    rollout = start_rollout(data_dir, "1.1.0")
    after = update_release_state(data_dir.release_state, store).models["plate-seg"]
    assert (after.stable, after.canary, after.shadow, after.weight_percent) == ("1.0.0", None, None, 0)
    assert (set(after.versions), after.history) == ({"1.0.0"}, rollout.history)


def test_update_release_state_error_names_invalid_file(tmp_path: Path, store: Path) -> None:
    state_file = tmp_path / "release-state.json"
    add_archive(store, tmp_path, "1.0.0")
    state_file.write_text("{")
    with pytest.raises(LocalPlatformError, match=r"release-state\.json is invalid"):
        update_release_state(state_file, store)
    state_file.unlink()
    (store / "x.mar").write_bytes(b"not a zip file")
    with pytest.raises(LocalPlatformError, match=r"x\.mar is not a valid model archive"):
        update_release_state(state_file, store)


@pytest.mark.slow
def test_verified_archives_requires_valid_signatures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = DataDir(tmp_path / "home")
    generate_key_pair(tmp_path / "keys", b"")
    with data_dir.lock():
        add_model(tmp_path / "weights", "1.0.0")
        prepare_store(data_dir, tmp_path / "weights")
    names = verified_archives(data_dir)
    assert names == released_archives(data_dir.release_state, data_dir.model_store) == ["plate-seg-1.0.0.mar"]
    monkeypatch.setenv(PUBLIC_KEYS_VARIABLE, str(tmp_path / "keys" / PUBLIC_KEY_FILE))
    with pytest.raises(LocalPlatformError, match=r"the models cannot be loaded: .* it is not signed"):
        verified_archives(data_dir)
    archive = data_dir.model_store / names[0]
    signature = sign_archive(archive, tmp_path / "keys" / PRIVATE_KEY_FILE, None, tmp_path / "sig")
    FolderStore(data_dir.registry).put(archive, signature)
    assert verified_archives(data_dir) == names
    monkeypatch.setenv(PUBLIC_KEYS_VARIABLE, str(tmp_path / "gone.pub"))
    with pytest.raises(LocalPlatformError, match="cannot be read as a public key"):
        verified_archives(data_dir)


def test_copy_to_serving_dir_checks_digest_and_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_archive(tmp_path / "mine", tmp_path, "1.1.0")
    archive = tmp_path / "mine" / "plate-seg-1.1.0.mar"
    manifest = validate_archive(archive).version_manifest
    (tmp_path / "serving").mkdir()
    with pytest.raises(SignatureError, match="was registered"):
        copy_to_serving_dir(archive, manifest.model_copy(update={"digest": f"sha256:{'0' * 64}"}), tmp_path / "serving")
    generate_key_pair(tmp_path / "keys", b"")
    monkeypatch.setenv(PUBLIC_KEYS_VARIABLE, str(tmp_path / "keys" / PUBLIC_KEY_FILE))
    with pytest.raises(SignatureError, match="it is not signed"):
        copy_to_serving_dir(archive, manifest, tmp_path / "serving")
    assert not list((tmp_path / "serving").glob("*.mar"))
    signature = sign_archive(archive, tmp_path / "keys" / PRIVATE_KEY_FILE, None, tmp_path / "sig")
    archive.with_name(signature_name(archive.name, signature.key_id)).write_bytes(signature.value)
    assert (tmp_path / "serving" / copy_to_serving_dir(archive, manifest, tmp_path / "serving")).is_file()
