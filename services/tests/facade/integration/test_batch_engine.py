"""The batch engine and the facade: the same values and the same id for an image."""

import json
import socket
import uuid
from pathlib import Path

import pytest

from tests.support import drawn_dishes, sample_images
from tests.support.running_facade import Facade
from tests.support.torchserve_process import TorchServeProcess
from thale._version import __version__
from thale.experiments.address import StoreAddress
from thale.experiments.images import NewImage
from thale.experiments.store import ExperimentStore
from thale.facade.settings import FacadeSettings
from thale.imaging.image_io import read_header
from thale.release.registry.archive_validation import validate_archive
from thale.schemas.experiment import JobRequest
from thale_models.batch.image_task import BatchConfig, measure_image
from thale_models.batch.model_host import ReleasedArchive

pytestmark = pytest.mark.integration
JSON = {"Content_Type": "application/json"}


@pytest.fixture(autouse=True)
def _no_memory_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of this process would stay for the next tests."""
    monkeypatch.setenv("THALE_WORKER_MEMORY_GROWTH_MIB", "0")


def config_of(torchserve: TorchServeProcess, store: Path) -> BatchConfig:
    segmentation, landmarks = (
        ReleasedArchive(path, validate_archive(path).digest)
        for path in (torchserve.store / f"{name}-1.0.0.mar" for name in ("plate-seg", "plate-landmarks"))
    )
    return BatchConfig(StoreAddress(store), segmentation, landmarks, None, __version__, socket.gethostname(), 1)


def values_of(phenotype: dict[str, object]) -> str:
    """Return everything but the name, the times and the durations of a phenotype."""
    provenance = phenotype["provenance"]
    assert isinstance(provenance, dict)
    kept = {**phenotype, "timings": None, "image": {**phenotype["image"], "name": None}}  # type: ignore[dict-item]
    return json.dumps({**kept, "provenance": {**provenance, "created": None}}, sort_keys=True)


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (drawn_dishes.dish(), {}),
        (sample_images.png(), {"mm_per_px": 0.25, "rotate": 90, "expected_plants": 3}),
    ],
    ids=["dish", "turned"],
)
def test_engine_and_facade_return_the_same_values(
    facade: Facade,
    torchserve: TorchServeProcess,
    settings: FacadeSettings,
    tmp_path: Path,
    image: bytes,
    options: dict[str, float],
) -> None:
    created = facade.post("/v1/experiments", json.dumps({"name": uuid.uuid4().hex}).encode(), **JSON).json["id"]
    query = "&".join(f"{name}={value}" for name, value in options.items())
    served = facade.post(f"/v1/experiments/{created}/images", image, query)
    assert served.status == 200, served.body

    store = ExperimentStore.open(StoreAddress(tmp_path / "other"))
    store.experiments.create("a", "", "local")
    metadata = read_header(image, "plate.png", None)
    store.images.add("a", NewImage(metadata, image, "plate.png", "plate"), None)
    job = store.jobs.submit(JobRequest.model_validate({"experiment": "a", **options}), "local")
    config = config_of(torchserve, tmp_path / "other")
    assert measure_image(config, job.id, metadata.sha256, "run").state == "measured"
    assert measure_image(config, job.id, metadata.sha256, "run").state == "skipped"

    item = store.images.get("a", metadata.sha256)
    assert item.measurement_id == served.json["measurement_id"]
    measurement, _ = store.measurements.get(str(item.measurement_id))
    batch = json.loads(measurement.phenotype.model_dump_json())
    assert values_of(batch) == values_of(served.json["phenotype"])
    assert batch["timings"]["total_s"] > batch["timings"]["segment_s"] > 0
    store.close()
