"""Integration tests of secret expiry in the rollout controller, with a fake Key Vault."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
import yaml

from tests.support.fake_key_vault import FakeKeyVault, StoredSecret, run_key_vault
from tests.support.fake_kubernetes_api import run_fake_kubernetes_api

pytestmark = pytest.mark.integration

TIMEOUT_S = 240
EXPIRES = 1_801_353_600


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[FakeKeyVault]:
    with run_key_vault(tmp_path) as running:
        running.stored = {"api-key": StoredSecret("hush", EXPIRES)}
        running.role = "Key Vault Reader"
        yield running


@contextmanager
def running_controller(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """Run the controller in a cluster without releases, and yield its address."""
    with run_fake_kubernetes_api() as api:
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": api.url}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "plants"}}],
            "current-context": "test",
        }
        (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
        settings = {"KUBECONFIG": str(folder / "kubeconfig"), "THALE_METRICS_PORT": "0", "THALE_USER": "robot"}
        command = [sys.executable, "-m", "thale.release"]
        log = folder / "log"
        with log.open("wb") as log_file:
            process = subprocess.Popen(command, stderr=log_file, env={**os.environ, **settings, **environment})
        try:
            yield f"http://127.0.0.1:{read_port(log, process)}"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT_S) == 0, log.read_text()
            assert "hush" not in log.read_text()


def read_port(log: Path, process: "subprocess.Popen[bytes]") -> int:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines(keepends=True):
            if line.endswith("\n") and json.loads(line)["message"] == "metrics server started":
                return int(json.loads(line)["port"])
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def fetch(address: str) -> str:
    with urllib.request.urlopen(address, timeout=TIMEOUT_S) as response:
        return str(response.read().decode())


def test_controller_exports_expiry_of_vault_secrets(vault: FakeKeyVault, tmp_path: Path) -> None:
    environment = {**vault.environment(tmp_path), "THALE_KEY_VAULT": vault.url}
    with running_controller(tmp_path, environment) as address:
        deadline = time.monotonic() + TIMEOUT_S
        while "thale_secret_expiry_timestamp_seconds{" not in fetch(f"{address}/metrics"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        [line] = [line for line in fetch(f"{address}/metrics").splitlines() if line.startswith("thale_secret_expiry_")]
        assert float(line.split(" ")[1]) == EXPIRES
    assert {path for path in vault.requested_paths if "oauth2" not in path} == {"/secrets"}


def test_controller_runs_while_vault_fails(vault: FakeKeyVault, tmp_path: Path) -> None:
    vault.status = HTTPStatus.SERVICE_UNAVAILABLE
    environment = {**vault.environment(tmp_path), "THALE_KEY_VAULT": vault.url}
    with running_controller(tmp_path, environment) as address:
        assert fetch(f"{address}/health/live") == "200 OK\n"
        assert "thale_secret_expiry_timestamp_seconds{" not in fetch(f"{address}/metrics")


def test_controller_exits_when_vault_name_is_invalid(tmp_path: Path) -> None:
    environment = {**os.environ, "THALE_KEY_VAULT": "kv_thale", "KUBECONFIG": str(tmp_path / "missing")}
    command = [sys.executable, "-m", "thale.release"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT_S)
    assert (result.returncode, "'kv_thale' is not a Key Vault" in result.stderr) == (1, True), result.stderr
