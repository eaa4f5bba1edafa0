"""Integration test of a rollout on the local platform across restarts of TorchServe and of the platform."""

from pathlib import Path

import pytest

from tests.support.local_platform import PlatformProcess, list_workers, run_platform, wait_for
from tests.support.tiny_models import write_tiny_model
from thale.errors import TargetError
from thale.local.data_dir import DataDir
from thale.local.serving_store import prepare_store
from thale.release.lifecycle import transitions
from thale.release.registry.stores import FolderStore
from thale.release.targets.torchserve_client import TorchServeClient
from thale.release.targets.update import author_now
from thale.schemas import ReleaseState
from thale_models.archive import write_archive

pytestmark = pytest.mark.integration

MODEL = "plate-seg"


def ready_versions(platform: PlatformProcess) -> set[str]:
    """Return the versions whose workers are ready."""
    running = DataDir(platform.home).find_running_platform()
    assert running is not None
    versions = TorchServeClient.from_urls(running.model_url, running.management_url).versions(MODEL)
    return {version for version, loaded in versions.items() if loaded.is_ready}


def start_rollout(data_dir: DataDir, weights: Path, folder: Path) -> None:
    """Write the data directory of a platform that stopped during a rollout, with one unused version."""
    model = write_tiny_model(folder / "1.1.0", "segmentation", 7, name=MODEL, version="1.1.0")
    store = FolderStore(data_dir.registry)
    for version in ("1.1.0", "1.2.0"):
        card = model.card.model_copy(update={"version": version})
        store.put(write_archive(model.weights, card, folder / "mine"))
    with data_dir.lock():
        release_state = prepare_store(data_dir, weights)
    canary = transitions.start_canary(
        release_state.models[MODEL], store.find(MODEL, "1.1.0"), author_now("anna", "better on dark plates")
    )
    after = ReleaseState(models={**release_state.models, MODEL: canary})
    data_dir.release_state.write_text(after.model_dump_json())


def test_canary_is_restored_after_restarts(tmp_path: Path, weights: Path) -> None:
    data_dir = DataDir(tmp_path / "home")
    start_rollout(data_dir, weights, tmp_path)
    expected = data_dir.release_state.read_bytes()
    with run_platform(data_dir.path, weights) as platform:
        wait_for("both versions", lambda: ready_versions(platform) == {"1.0.0", "1.1.0"})
        assert ReleaseState.model_validate_json(
            data_dir.release_state.read_bytes()
        ) == ReleaseState.model_validate_json(expected)
        assert FolderStore(data_dir.registry).find(MODEL, "1.0.0").card.version == "1.0.0"
        assert len(list_workers(platform.process.pid)) == 3

        list_workers(platform.process.pid)[0].parent().kill()
        wait_for("the exit of TorchServe", lambda: not list_workers(platform.process.pid))
        wait_for("both versions again", lambda: _ready_versions_or_none(platform) == {"1.0.0", "1.1.0"})


def _ready_versions_or_none(platform: PlatformProcess) -> set[str]:
    """Return the ready versions, or an empty set while TorchServe is unavailable."""
    try:
        return ready_versions(platform)
    except TargetError:
        return set()
