"""`python -m thale.release` tells when a vault's secrets expire, and goes on where the vault does not."""

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

from tests.support.fake_key_vault import Cloud, Kept, running_key_vault
from tests.support.fake_kubernetes_api import running_kube_api

PATIENCE_S = 240
EXPIRES = 1_801_353_600


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with running_key_vault(tmp_path) as running:
        running.kept = {"api-key": Kept("hush", EXPIRES)}
        running.role = "Key Vault Reader"
        yield running


@contextmanager
def watcher(room: Path, environment: dict[str, str]) -> Iterator[str]:
    """Run the watcher in a cluster without releases; give its address."""
    with running_kube_api() as api:
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": api.url}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "plants"}}],
            "current-context": "test",
        }
        (room / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
        told = {"KUBECONFIG": str(room / "kubeconfig"), "THALE_METRICS_PORT": "0", "THALE_USER": "robot"}
        command = [sys.executable, "-m", "thale.release"]
        log = room / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, stderr=out, env={**os.environ, **told, **environment})
        try:
            yield f"http://127.0.0.1:{port_in(log, process)}"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0, log.read_text()
            assert "hush" not in log.read_text()


def port_in(log: Path, process: "subprocess.Popen[bytes]") -> int:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines(keepends=True):
            if line.endswith("\n") and json.loads(line)["message"] == "metrics served":
                return int(json.loads(line)["port"])
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def asked(address: str) -> str:
    with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
        return str(answer.read().decode())


def test_the_watcher_tells_when_a_vault_s_secrets_expire(cloud: Cloud, tmp_path: Path) -> None:
    environment = {**cloud.environment(tmp_path), "THALE_KEY_VAULT": cloud.url}
    with watcher(tmp_path, environment) as address:
        deadline = time.monotonic() + PATIENCE_S
        while "thale_secret_expiry_timestamp_seconds{" not in asked(f"{address}/metrics"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        [line] = [line for line in asked(f"{address}/metrics").splitlines() if line.startswith("thale_secret_expiry_")]
        assert float(line.split(" ")[1]) == EXPIRES
    assert {path for path in cloud.asked if "oauth2" not in path} == {"/secrets"}


def test_the_watcher_goes_on_where_the_vault_does_not(cloud: Cloud, tmp_path: Path) -> None:
    cloud.status = HTTPStatus.SERVICE_UNAVAILABLE
    environment = {**cloud.environment(tmp_path), "THALE_KEY_VAULT": cloud.url}
    with watcher(tmp_path, environment) as address:
        assert asked(f"{address}/health/live") == "200 OK\n"
        assert "thale_secret_expiry_timestamp_seconds{" not in asked(f"{address}/metrics")


def test_a_vault_s_name_that_cannot_be_one_ends_the_watcher_with_words(tmp_path: Path) -> None:
    environment = {**os.environ, "THALE_KEY_VAULT": "kv_thale", "KUBECONFIG": str(tmp_path / "gone")}
    command = [sys.executable, "-m", "thale.release"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE_S)
    assert (done.returncode, "'kv_thale' is no Key Vault" in done.stderr) == (1, True), done.stderr
