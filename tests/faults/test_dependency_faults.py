"""Faults of what the platform depends on, under load: a collector that hangs, and a registry that disappears."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.bounded_load import BoundedLoad
from tests.support.facade_process import facade_process
from tests.support.local_platform import run_platform, write_weights
from tests.support.redis_process import run_redis
from tests.support.rollout_environment import RolloutEnvironment, run_rollout_environment, sample_plates
from tests.support.tiny_models import write_tiny_model
from thale.auth.key_file import ApiKeyFile
from thale.auth.key_store import create_key
from thale.local.data_dir import DataDir
from thale.release.registry.stores import FolderStore
from thale_models.archive import write_archive

pytestmark = [pytest.mark.integration, pytest.mark.exclusive, pytest.mark.timeout(600)]

_PLATES = 4
_STOP_LIMIT_S = 60.0
"""Limit of the exit after SIGTERM: the facade's grace period, the exporter's timeout, and a margin."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RolloutEnvironment]:
    with run_rollout_environment(tmp_path_factory.mktemp("stack")) as running:
        yield running


def _facade_settings(environment: RolloutEnvironment) -> dict[str, str]:
    """Return the settings of another facade on the release state and the model server of the environment."""
    return {
        "THALE_RELEASE_STATE_PATH": str(environment.folder / "release-state.json"),
        "THALE_MODEL_URL": f"http://127.0.0.1:{environment.torchserve.inference_port}",
        "THALE_MANAGEMENT_URL": f"http://127.0.0.1:{environment.torchserve.management_port}",
    }


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
            **_facade_settings(environment),
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


def test_facade_serves_when_the_limit_store_fails(environment: RolloutEnvironment, tmp_path: Path) -> None:
    """A store that hangs, and then dies, costs no request. Each replica applies the limits until it is back."""
    (tmp_path / "keys").mkdir(mode=0o700)
    keys = ApiKeyFile(tmp_path / "keys" / "api-keys.json")
    key, _ = create_key(keys, "fault test", frozenset({"predict"}), timedelta(days=1), datetime.now(UTC))
    with run_redis(tmp_path / "redis") as redis:
        settings = {
            **_facade_settings(environment),
            "THALE_API_KEYS_PATH": str(tmp_path / "keys" / "api-keys.json"),
            "THALE_LIMIT_STORE_URL": redis.url,
            "THALE_LIMIT_STORE_PASSWORD_PATH": str(redis.password_path),
            "THALE_CALLER_RATE_PER_S": "1000",
            "THALE_CALLER_BURST": "1000",
        }
        with facade_process(tmp_path / "facade.log", **settings) as facade:
            url, headers = f"http://127.0.0.1:{facade.port}", {"Authorization": f"Bearer {key.text}"}
            load = BoundedLoad(url, sample_plates()[:_PLATES], headers=headers)
            baseline = load.measure_baseline()
            with load.run():
                load.wait_for_successes(4)
                failed_s = time.monotonic()
                assert redis.process is not None
                redis.process.send_signal(signal.SIGSTOP)
                load.wait_for_successes(12)
                redis.kill()
                load.wait_for_successes(12)
                redis.start()
                load.wait_for_successes(12)
            load.report("a limit store that hangs and dies", failed_s)
            messages = {line["message"] for line in facade.log_lines()}
    assert messages >= {"limit store unavailable", "limit store available again"}
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
