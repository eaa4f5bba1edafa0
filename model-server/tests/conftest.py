"""Shared fixtures of the model server tests: a tiny model of each task, an image, one running TorchServe."""

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.tiny_models import TinyModel, write_tiny_model
from tests.support.torchserve_process import TorchServeProcess, run_torchserve
from thale_models.archive import write_archive
from thale_models.engine import Engine, load_engine


@pytest.fixture(autouse=True)
def _restore_safe_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore PYTHONSAFEPATH and the import path, which the entry points change."""
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return write_tiny_model(tmp_path_factory.mktemp("segmenter"), "segmentation")


@pytest.fixture(scope="session")
def landmarker(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return write_tiny_model(tmp_path_factory.mktemp("landmarker"), "landmarks")


@pytest.fixture(scope="session")
def segment_engine(segmenter: TinyModel) -> Engine:
    return load_engine(segmenter.card, segmenter.weights, threads=1)


@pytest.fixture(scope="session")
def landmark_engine(landmarker: TinyModel) -> Engine:
    return load_engine(landmarker.card, landmarker.weights, threads=1)


@pytest.fixture(scope="session", name="plate_HW3")
def draw_plate() -> NDArray[np.uint8]:
    """An image of 300 x 340 px with uneven illumination, dark lines and noise."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:300, :340]
    light = 150 + 30 * np.sin(rows / 90) + 20 * columns / 340
    roots = 40 * (np.abs((columns + 6 * np.sin(rows / 20)) % 70 - 35) < 2)
    image = (light - roots)[..., None] + rng.normal(0, 2, (300, 340, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def torchserve(
    tmp_path_factory: pytest.TempPathFactory, segmenter: TinyModel, landmarker: TinyModel
) -> Iterator[TorchServeProcess]:
    home = tmp_path_factory.mktemp("ts")
    archives = [write_archive(model.weights, model.card, home / "store").name for model in (segmenter, landmarker)]
    with run_torchserve(home, archives) as running:
        yield running
