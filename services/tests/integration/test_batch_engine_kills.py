"""Batch engine under kill -9 of a worker and of the client: no image is lost, and none is measured twice."""

import os
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.support import drawn_dishes, sample_images
from tests.support.deadly_image import DEADLY, make_images_deadly
from tests.support.local_platform import is_running, list_descendants, start_thale, wait_for, write_weights
from thale.experiments.address import StoreAddress
from thale.experiments.images import NewImage
from thale.experiments.store import ExperimentStore
from thale.imaging.image_io import read_header

pytestmark = [pytest.mark.integration, pytest.mark.exclusive]
EXPERIMENT = "Salt 1"
IMAGES = 12


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Data directory with an experiment of dishes that differ from each other."""
    with closing(open_store(tmp_path)) as store:
        store.experiments.create(EXPERIMENT, "", "local")
        for number in range(IMAGES):
            image = drawn_dishes.blank(570, 560)
            drawn_dishes.draw_dish(image, 40, 45, 470)
            drawn_dishes.draw_roots(image, 40, 45, 470, count=2 + number % 4)
            data = sample_images.encode(Image.fromarray(drawn_dishes.photograph(image, number)), "PNG")
            add(store, f"p{number}.png", data)
    return tmp_path


def open_store(home: Path) -> ExperimentStore:
    return ExperimentStore.open(StoreAddress(home / "experiments"))


def add(store: ExperimentStore, name: str, data: bytes) -> None:
    metadata = read_header(data, name, None)
    store.images.add(EXPERIMENT, NewImage(metadata, data, name, name.partition(".")[0]), None)


def run_engine(home: Path, weights: Path) -> "subprocess.Popen[str]":
    command = ("experiment", "run", EXPERIMENT, "--engine", "dask", "--workers", "2")
    return start_thale(*command, home=home, weights=weights)


def count_measured(home: Path) -> int:
    with closing(open_store(home)) as store:
        jobs = store.jobs.list(EXPERIMENT, 10, None).items
        return jobs[0].progress.measured if jobs else 0


def list_dask_workers(pid: int) -> list[psutil.Process]:
    """Return the worker processes of the cluster: the children that import the models."""
    return [process for process in list_descendants(pid) if "openvino" in mapped_files(process)]


def mapped_files(process: psutil.Process) -> str:
    try:
        return " ".join(mapped.path for mapped in process.memory_maps())
    except psutil.Error:
        return ""


def check_complete(home: Path) -> None:
    """Check that the only job has ended, and that each image has one measurement of its own."""
    with closing(open_store(home)) as store:
        (job,) = store.jobs.list(EXPERIMENT, 10, None).items
        assert job.state == "finished"
        assert (job.progress.measured, job.progress.failed, job.progress.quarantined) == (IMAGES, 0, 0)
        measurements = [item.measurement_id for item in store.images.list(EXPERIMENT, IMAGES + 1, 0).items]
        assert len(set(measurements)) == IMAGES
        assert None not in measurements


def test_engine_survives_the_loss_of_a_worker(home: Path, weights: Path) -> None:
    process = run_engine(home, weights)
    wait_for("the first measurement", lambda: count_measured(home) > 0 or process.poll() is not None)
    list_dask_workers(process.pid)[0].send_signal(signal.SIGKILL)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert f"{IMAGES} measured, 0 failed" in output
    check_complete(home)


def test_engine_continues_after_the_loss_of_the_client(home: Path, weights: Path) -> None:
    process = run_engine(home, weights)
    wait_for("the first measurement", lambda: count_measured(home) > 0 or process.poll() is not None)
    children = list_descendants(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    wait_for("the end of the cluster", lambda: not any(map(is_running, children)), 60)
    assert 0 < count_measured(home) < IMAGES
    second = run_engine(home, weights)
    output, _ = second.communicate(timeout=240)
    assert second.returncode == 0, output
    assert "continues with 2 processes" in output
    check_complete(home)


def test_engine_names_an_image_that_cannot_be_read(home: Path, weights: Path) -> None:
    with closing(open_store(home)) as store:
        intact = sample_images.png()
        metadata = read_header(intact, "cut.png", None)
        store.images.add(EXPERIMENT, NewImage(metadata, intact[: len(intact) // 2], "cut.png", "cut"), None)
    process = run_engine(home, weights)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 1, output
    assert f"{IMAGES} measured, 1 failed" in output
    assert "cut.png: " in output


def test_engine_quarantines_an_image_that_kills_its_workers(
    home: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images_deadly(monkeypatch, tmp_path)
    with closing(open_store(home)) as store:
        add(store, "deadly.png", sample_images.png() + DEADLY)
    process = run_engine(home, weights)
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 1, output
    assert f"{IMAGES} measured, 1 failed" in output
    assert "deadly.png: the process that measured it ended three times" in output
