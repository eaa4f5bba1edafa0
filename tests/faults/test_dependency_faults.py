"""Faults of what the platform depends on, under load: a collector that hangs, a vault or registry that disappears."""

import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.support.bounded_load import BoundedLoad
from tests.support.facade_process import FacadeProcess, facade_process
from tests.support.fake_key_vault import run_key_vault
from tests.support.local_platform import run_platform, wait_for, write_weights
from tests.support.redis_process import run_redis
from tests.support.rollout_environment import RolloutEnvironment, run_rollout_environment, sample_plates
from tests.support.tiny_models import write_tiny_model
from thale.auth.configured_store import open_store
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
                wait_for("a failed call", lambda: _count_logged(facade, "limit store unavailable") == 1)
                load.wait_for_successes(12)
                redis.kill()
                load.wait_for_successes(12)
                redis.start()
                # Twelve successes can take less than the second until the circuit's next probe.
                wait_for("a call", lambda: _count_logged(facade, "limit store available again") == 1)
                load.wait_for_successes(12)
            load.report("a limit store that hangs and dies", failed_s)
    assert load.failures() == []
    assert load.wrong_measurements(baseline) == []


def test_facade_serves_when_the_vault_is_unreachable(environment: RolloutEnvironment, tmp_path: Path) -> None:
    """The last known keys serve while the vault fails, and after its address refuses connections."""
    with ExitStack() as vault_stack:
        vault = vault_stack.enter_context(run_key_vault(tmp_path))
        vault.role = "Key Vault Secrets Officer"
        with pytest.MonkeyPatch.context() as patch:
            for name, value in vault.environment(tmp_path).items():
                patch.setenv(name, value)
            scopes = frozenset({"predict"})
            key, _ = create_key(open_store(vault.url, Path()), "fault", scopes, timedelta(days=1), datetime.now(UTC))
            settings = {
                **_facade_settings(environment),
                "THALE_KEY_VAULT": vault.url,
                "THALE_KEY_VAULT_INTERVAL_S": "0.3",
                "THALE_CALLER_RATE_PER_S": "1000",
                "THALE_CALLER_BURST": "1000",
            }
            with facade_process(tmp_path / "facade.log", **settings) as facade:
                url, headers = f"http://127.0.0.1:{facade.port}", {"Authorization": f"Bearer {key.text}"}
                wait_for("credentials", lambda: _accepts_credential(facade, headers))
                load = BoundedLoad(url, sample_plates()[:_PLATES], headers=headers)
                baseline = load.measure_baseline()
                with load.run():
                    load.wait_for_successes(4)
                    failed_s = time.monotonic()
                    vault.status = HTTPStatus.SERVICE_UNAVAILABLE
                    wait_for("a failed read", lambda: _count_logged(facade, "credentials unavailable") == 1)
                    load.wait_for_successes(8)
                    vault.status = None
                    wait_for("a read", lambda: _count_logged(facade, "credentials available again") == 1)
                    vault_stack.close()
                    wait_for("a refused read", lambda: _count_logged(facade, "credentials unavailable") == 2)
                    load.wait_for_successes(12)
                load.report("a vault that fails and disappears", failed_s)
    assert load.failures() == []
    assert load.wrong_measurements(baseline) == []


def _accepts_credential(facade: FacadeProcess, headers: Mapping[str, str]) -> bool:
    return facade.request("POST", "/v1/phenotype", b"not an image", headers).status not in (401, 503)


def _count_logged(facade: FacadeProcess, message: str) -> int:
    return sum(line["message"] == message for line in facade.log_lines())


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
