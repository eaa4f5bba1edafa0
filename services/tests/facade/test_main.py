"""The facade as a separate process, as the local platform and the container start it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from tests.support.fake_entra import AUDIENCE
from tests.support.torchserve_process import free_ports
from thale.facade.settings import FacadeSettings

pytestmark = pytest.mark.integration


def environment(**settings: str) -> dict[str, str]:
    return {**os.environ, **{f"THALE_{name.upper()}": value for name, value in settings.items()}}


def test_main_serves_on_loopback_and_leaves_no_process(settings: FacadeSettings, tmp_path: Path) -> None:
    port, metrics_port = free_ports(2)
    variables = environment(
        port=str(port), metrics_port=str(metrics_port), release_state_path=str(settings.release_state_path)
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "thale.facade"], env=variables, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/health/live")
        processes = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        listen_addresses = {
            connection.laddr for each in processes for connection in each.connections() if connection.status == "LISTEN"
        }
        assert {(address.ip, address.port) for address in listen_addresses} == {
            ("127.0.0.1", port),
            ("127.0.0.1", metrics_port),
        }
        metrics = urlopen(f"http://127.0.0.1:{metrics_port}/metrics").read().decode()
        assert 'thale_facade_requests_total{route="/health/live",status="200"}' in metrics
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    _, survivors = psutil.wait_procs(processes, 30)
    assert survivors == []
    assert all(line.startswith("{") for line in (tmp_path / "log").read_text().splitlines())


def test_worker_processes_end_when_the_facade_is_killed(settings: FacadeSettings) -> None:
    port, metrics_port = free_ports(2)
    variables = environment(
        port=str(port), metrics_port=str(metrics_port), release_state_path=str(settings.release_state_path)
    )
    process = subprocess.Popen([sys.executable, "-m", "thale.facade"], env=variables, stderr=subprocess.DEVNULL)
    wait_for(f"http://127.0.0.1:{port}/health/live")
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, survivors = psutil.wait_procs(children, 30)
    assert survivors == []


@pytest.mark.parametrize(
    ("settings", "expected_text"),
    [
        ({"port": "99999", "release_state_path": "x"}, "THALE_PORT"),
        ({}, "THALE_RELEASE_STATE_PATH or THALE_NAMESPACE"),
        ({"release_state_path": "x", "namespace": "plants"}, "THALE_RELEASE_STATE_PATH or THALE_NAMESPACE"),
        ({"release_state_path": "x", "host": "0.0.0.0"}, "could send requests to 0.0.0.0 without authentication"),
        ({"release_state_path": "x", "api_keys_path": "x", "key_vault": "kv-thale"}, "two stores of API keys"),
        ({"release_state_path": "x", "entra_audience": "x"}, "set both THALE_ENTRA_TENANT_ID"),
        ({"release_state_path": "x", "entra_web_client_id": AUDIENCE}, "remove THALE_ENTRA_WEB_CLIENT_ID"),
    ],
)
def test_main_names_missing_or_invalid_settings(settings: dict[str, str], expected_text: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("THALE_")}
    variables = {f"THALE_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "thale.facade"]
    result = subprocess.run(command, env=inherited | variables, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert expected_text in result.stderr


def wait_for(url: str) -> None:
    for _ in range(1200):
        try:
            urlopen(url).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{url} did not respond")
