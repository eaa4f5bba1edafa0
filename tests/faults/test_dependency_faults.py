"""Faults of what the platform depends on, under load: a collector that hangs, and a registry that disappears."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.bounded_load import BoundedLoad
from tests.support.facade_process import facade_process
from tests.support.local_platform import run_platform, write_weights
from tests.support.rollout_environment import RolloutEnvironment, run_rollout_environment, sample_plates
from tests.support.tiny_models import write_tiny_model
from thale.local.data_dir import DataDir
from thale.release.registry.stores import FolderStore
from thale_models.archive import write_archive

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

_PLATES = 4
_STOP_LIMIT_S = 60.0
"""Limit of the exit after SIGTERM: the facade's grace period, the exporter's timeout, and a margin."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RolloutEnvironment]:
    with run_rollout_environment(tmp_path_factory.mktemp("stack")) as running:
        yield running


@contextmanager
def hanging_server() -> Iterator[tuple[str, list[socket.socket]]]:
    """Accept connections, and never respond. Yields the address and the accepted connections."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    accepted: list[socket.socket] = []

    def accept() -> None:
        try:
            while True:
                accepted.append(listener.accept()[0])
        except OSError:
            return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", accepted
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in accepted:
            connection.close()
        thread.join()


def test_facade_serves_when_the_collector_hangs(environment: RolloutEnvironment, tmp_path: Path) -> None:
    """Traces are dropped. Neither a request nor the exit waits for the collector."""
    with hanging_server() as (collector, connections):
        settings = {
            "THALE_RELEASE_STATE_PATH": str(environment.folder / "release-state.json"),
            "THALE_MODEL_URL": f"http://127.0.0.1:{environment.torchserve.inference_port}",
            "THALE_MANAGEMENT_URL": f"http://127.0.0.1:{environment.torchserve.management_port}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        with facade_process(tmp_path / "facade.log", **settings) as facade:
            load = BoundedLoad(f"http://127.0.0.1:{facade.port}", sample_plates()[:_PLATES])
            baseline = load.measure_baseline()
            started_s = time.monotonic()
            with load.run():
                load.wait_for_successes(40)
            load.report("a collector that hangs", started_s)
            assert connections, "the facade exported no trace"
            facade.process.send_signal(signal.SIGTERM)
            facade.process.wait(_STOP_LIMIT_S)
    assert load.failures() == []
    assert load.wrong_measurements(baseline) == []


def test_platform_serves_when_the_registry_disappears(tmp_path: Path) -> None:
    """A release command fails with one sentence and changes nothing. It succeeds when the registry is back."""
    data_dir = DataDir(tmp_path / "home")
    model = write_tiny_model(tmp_path / "canary", "segmentation", 7, name="plate-seg", version="1.1.0")
    FolderStore(data_dir.registry).put(write_archive(model.weights, model.card, tmp_path))
    canary = ("release", "canary", "plate-seg", "1.1.0", "--steps", "1,100", "--why", "fault test")
    with run_platform(data_dir.path, write_weights(tmp_path / "weights")) as platform:
        registry, away = data_dir.registry, data_dir.path / "registry-away"
        load = BoundedLoad(platform.url, sample_plates()[:_PLATES], clients=1)
        baseline = load.measure_baseline()
        with load.run():
            load.wait_for_successes(4)
            removed_s = time.monotonic()
            registry.rename(away)
            registry.write_text("a file, as a failed mount leaves an empty or foreign path")
            failed = platform.run(*canary)
            registry.unlink()
            away.rename(registry)
            load.wait_for_successes(8)
        load.report("a registry that disappears", removed_s)
        succeeded = platform.run(*canary)
    assert failed.returncode == 1
    assert "Traceback" not in failed.stdout
    assert "registry" in failed.stdout
    assert succeeded.returncode == 0, succeeded.stdout
    assert load.failures() == []
    assert load.wrong_measurements(baseline) == []
