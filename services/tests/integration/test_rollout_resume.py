"""A rollout on a laptop outlives the death of TorchServe and the stop of the whole platform."""

from pathlib import Path

from tests.support.local_platform import Platform, running_platform, wait_for, workers
from tests.support.tiny_models import tiny_model
from thale.errors import ActuatorError
from thale.local.data_dir import Home
from thale.local.serving_store import prepare
from thale.release.lifecycle import transitions
from thale.release.registry.stores import FolderStore
from thale.release.targets.torchserve_client import TorchServe
from thale.release.targets.update import sign
from thale.schemas import ReleaseRecord
from thale_models.archive import write_archive

MODEL = "plate-seg"


def served(platform: Platform) -> set[str]:
    """Return the versions whose workers are ready."""
    running = Home(platform.home).running()
    assert running is not None
    versions = TorchServe.at(running.model_url, running.management_url).versions(MODEL)
    return {version for version, loaded in versions.items() if loaded.ready}


def begin_rollout(home: Home, weights: Path, folder: Path) -> None:
    """Leave behind what a platform does that was stopped while a canary was on trial; one more version is unused."""
    model = tiny_model(folder / "1.1.0", "segmentation", 7, name=MODEL, version="1.1.0")
    store = FolderStore(home.registered)
    for version in ("1.1.0", "1.2.0"):
        card = model.card.model_copy(update={"version": version})
        store.put(write_archive(model.weights, card, folder / "mine"))
    with home.hold():
        record = prepare(home, weights)
    canary = transitions.canary(record.models[MODEL], store.find(MODEL, "1.1.0"), sign("anna", "better on dark plates"))
    after = ReleaseRecord(models={**record.models, MODEL: canary})
    home.record.write_text(after.model_dump_json())


def test_a_canary_comes_back_with_the_platform_and_with_torchserve(tmp_path: Path, weights: Path) -> None:
    home = Home(tmp_path / "home")
    begin_rollout(home, weights, tmp_path)
    left = home.record.read_bytes()
    with running_platform(home.folder, weights) as platform:
        wait_for("both versions", lambda: served(platform) == {"1.0.0", "1.1.0"})
        assert ReleaseRecord.model_validate_json(home.record.read_bytes()) == ReleaseRecord.model_validate_json(left)
        assert FolderStore(home.registered).find(MODEL, "1.0.0").card.version == "1.0.0"
        assert len(workers(platform.process.pid)) == 3

        workers(platform.process.pid)[0].parent().kill()
        wait_for("the death of TorchServe", lambda: not workers(platform.process.pid))
        wait_for("both versions again", lambda: _quietly_served(platform) == {"1.0.0", "1.1.0"})


def _quietly_served(platform: Platform) -> set[str]:
    """Return what is served, nothing while TorchServe is away."""
    try:
        return served(platform)
    except ActuatorError:
        return set()
