"""Integration tests of the reconciler: versions that are removed from a real TorchServe serve again."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bounded_load import RECOVERIES
from tests.support.local_platform import PlatformProcess, run_platform, wait_for, write_weights
from tests.support.sample_images import jpeg
from thale.client import Client
from thale.errors import ThaleError
from thale.local.data_dir import DataDir
from thale.models.model_server_pool import open_pool

pytestmark = pytest.mark.integration

DISTURBANCES = [
    ("DELETE", "/models/plate-seg/1.0.0"),
    ("PUT", "/models/plate-landmarks/1.0.0?min_worker=0&max_worker=0&synchronous=true"),
]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    folder = tmp_path_factory.mktemp("reconciler")
    with run_platform(folder / "home", write_weights(folder / "weights")) as running:
        yield running


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "plate.jpg"
    path.write_bytes(jpeg())
    return path


@pytest.mark.parametrize(("method", "path"), DISTURBANCES, ids=["unloaded", "without workers"])
def test_platform_serves_again_when_version_is_removed(
    platform: PlatformProcess, image: Path, method: str, path: str
) -> None:
    running = DataDir(platform.home).find_running_platform()
    assert running is not None
    with Client(platform.url) as client:
        before = client.phenotype(image, mm_per_px=0.25)
        with open_pool(running.management_url) as pool:
            assert pool.request(method, path, timeout=60).status == 200
        removed = time.monotonic()

        def serves() -> bool:
            try:
                after = client.phenotype(image, mm_per_px=0.25)
            except ThaleError:
                return False
            return after.plants == before.plants

        wait_for("a response after the removal", serves)
        RECOVERIES.append(f"a version removed by {method}: {time.monotonic() - removed:.1f} s")
