"""Fixtures of the facade's tests: a TorchServe with two tiny models and a facade that calls it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.running_facade import Facade, running_facade
from tests.support.tiny_models import write_tiny_model
from tests.support.torchserve_process import TorchServeProcess, run_torchserve
from thale.facade.settings import FacadeSettings
from thale.release.registry.archive_validation import validate_archive
from thale.schemas import Release, ReleaseState, Task, VersionManifest
from thale_models.archive import write_archive

MODELS: dict[str, Task] = {"plate-seg": "segmentation", "plate-landmarks": "landmarks"}


def write_release_state(path: Path, store: Path) -> None:
    models = {}
    for name, task in MODELS.items():
        archive = validate_archive(store / f"{name}-1.0.0.mar")
        versions = {"1.0.0": VersionManifest(digest=archive.digest, card=archive.card)}
        models[name] = Release(task=task, stable="1.0.0", versions=versions)
    path.write_text(ReleaseState(models=models).model_dump_json())


@pytest.fixture(scope="session")
def torchserve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TorchServeProcess]:
    home = tmp_path_factory.mktemp("ts")
    archives = []
    for seed, (name, task) in enumerate(MODELS.items()):
        model = write_tiny_model(tmp_path_factory.mktemp(name), task, seed, name=name)
        archives.append(write_archive(model.weights, model.card, home / "store").name)
    with run_torchserve(home, archives) as process:
        yield process


@pytest.fixture(scope="session")
def settings(torchserve: TorchServeProcess, tmp_path_factory: pytest.TempPathFactory) -> FacadeSettings:
    state_path = tmp_path_factory.mktemp("release-state") / "release-state.json"
    write_release_state(state_path, torchserve.store)
    return FacadeSettings(
        release_state_path=state_path,
        metrics_port=0,
        model_url=f"http://127.0.0.1:{torchserve.inference_port}",
        management_url=f"http://127.0.0.1:{torchserve.management_port}",
        postprocess_workers=1,
        experiments_path=tmp_path_factory.mktemp("experiments"),
    )


@pytest.fixture(scope="session")
def facade(settings: FacadeSettings) -> Iterator[Facade]:
    with running_facade(settings) as facade:
        yield facade
