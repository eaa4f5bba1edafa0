"""What the tests of the facade share: a TorchServe with two tiny models, and a facade in front of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.running_facade import Facade, running_facade
from tests.support.tiny_models import tiny_model
from tests.support.torchserve_process import TorchServe, running_torchserve
from thale.facade.settings import Settings
from thale.release.registry.archive_validation import read_archive
from thale.schemas import Release, ReleasedVersion, ReleaseRecord, Task
from thale_models.archive import write_archive

MODELS: dict[str, Task] = {"plate-seg": "segmentation", "plate-landmarks": "landmarks"}


def write_record(path: Path, store: Path) -> None:
    models = {}
    for name, task in MODELS.items():
        archived = read_archive(store / f"{name}-1.0.0.mar")
        versions = {"1.0.0": ReleasedVersion(digest=archived.digest, card=archived.card)}
        models[name] = Release(task=task, stable="1.0.0", versions=versions)
    path.write_text(ReleaseRecord(models=models).model_dump_json())


@pytest.fixture(scope="session")
def torchserve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TorchServe]:
    home = tmp_path_factory.mktemp("ts")
    archives = []
    for seed, (name, task) in enumerate(MODELS.items()):
        model = tiny_model(tmp_path_factory.mktemp(name), task, seed, name=name)
        archives.append(write_archive(model.weights, model.card, home / "store").name)
    with running_torchserve(home, archives) as running:
        yield running


@pytest.fixture(scope="session")
def settings(torchserve: TorchServe, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    record = tmp_path_factory.mktemp("record") / "traffic.json"
    write_record(record, torchserve.store)
    return Settings(
        record_path=record,
        metrics_port=0,
        model_url=f"http://127.0.0.1:{torchserve.inference_port}",
        management_url=f"http://127.0.0.1:{torchserve.management_port}",
        measuring_processes=1,
    )


@pytest.fixture(scope="session")
def facade(settings: Settings) -> Iterator[Facade]:
    with running_facade(settings) as running:
        yield running
