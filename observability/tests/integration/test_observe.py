"""`make observe` with the real programs and a fake platform: scrape, outage, recovery, and cleanup."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry

from observability.observe import Executables, MonitoringStack, run_monitoring_stack
from thale._version import __version__
from thale.errors import LocalPlatformError
from thale.local.data_dir import DataDir, RunningPlatform
from thale.local.ports import Addresses
from thale.models.model_server_address import FACADE_METRICS_PATH
from thale.telemetry import metrics_server
from thale.telemetry.metrics import METRICS
from thale.telemetry.metrics_server import Page

pytestmark = pytest.mark.integration

TIMEOUT_S = 120.0
CLOSED_URL = "http://127.0.0.1:9"


@contextmanager
def serve_metrics(registry: CollectorRegistry) -> Iterator[str]:
    """Serve a registry's metrics on a free port."""
    with metrics_server.serve(
        "127.0.0.1", 0, registry, {FACADE_METRICS_PATH: lambda: Page(b"Requests2XX 1.0\n")}
    ) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def fake_platform(data_dir: DataDir) -> Iterator[None]:
    """Serve the metrics of a facade and a TorchServe, and publish their addresses in the data directory."""
    with ExitStack() as stack:
        metrics_url = stack.enter_context(serve_metrics(METRICS.registry))
        addresses = Addresses(
            url=CLOSED_URL,
            metrics_url=f"{metrics_url}/metrics",
            model_url=CLOSED_URL,
            management_url=CLOSED_URL,
            model_metrics_url=metrics_url + FACADE_METRICS_PATH,
        )
        stack.enter_context(data_dir.publish(RunningPlatform.current_process(addresses, __version__, persistent=True)))
        yield


@contextmanager
def running_monitoring_stack(data_dir: DataDir) -> Iterator[MonitoringStack]:
    stop_event = threading.Event()
    with run_monitoring_stack(data_dir, lambda _: None, controller_port=9) as stack:
        supervisor = threading.Thread(target=stack.supervise, args=(data_dir, 9, stop_event))
        supervisor.start()
        try:
            yield stack
        finally:
            stop_event.set()
            supervisor.join()


def get_json(url: str, **parameters: str) -> Any:
    with urlopen(f"{url}?{urlencode(parameters)}", timeout=10) as response:
        return json.load(response)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            if condition():
                return
        except (OSError, HTTPException):
            pass  # not listening yet
        assert time.monotonic() < deadline
        time.sleep(0.2)


def target_health(stack: MonitoringStack) -> dict[str, str]:
    """Return the health of each job's target."""
    active = get_json(f"{stack.prometheus_url}/api/v1/targets")["data"]["activeTargets"]
    return {target["labels"]["job"]: target["health"] for target in active if target["labels"]["job"] != "node"}


def is_firing(stack: MonitoringStack, name: str) -> bool:
    return bool(
        get_json(f"{stack.prometheus_url}/api/v1/query", query=f'ALERTS{{alertname="{name}"}}')["data"]["result"]
    )


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    if shutil.which("prometheus") is None or shutil.which("amtool") is None:
        pytest.skip("apt-get install --no-install-recommends prometheus prometheus-alertmanager (`make prometheus`)")
    return DataDir(tmp_path)


def test_monitoring_follows_the_platform_through_an_outage(data_dir: DataDir) -> None:
    with ExitStack() as first:
        first.enter_context(fake_platform(data_dir))
        with running_monitoring_stack(data_dir) as stack:
            wait_until(lambda: target_health(stack) == {"thale-facade": "up", "thale-models": "up"})
            groups = get_json(f"{stack.prometheus_url}/api/v1/rules")["data"]["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            assert len(rules) > 80
            wait_until(
                lambda: bool(get_json(f"{stack.prometheus_url}/api/v1/alertmanagers")["data"]["activeAlertmanagers"])
            )
            assert get_json(f"{stack.alertmanager_url}/api/v2/status")["cluster"]["status"] == "disabled"
            first.close()
            wait_until(lambda: target_health(stack) == {"thale-facade": "down", "thale-models": "down"})
            wait_until(lambda: is_firing(stack, "ThaleFacadeDown"))
            with fake_platform(data_dir):
                wait_until(lambda: target_health(stack) == {"thale-facade": "up", "thale-models": "up"})
                rules = get_json(f"{stack.prometheus_url}/api/v1/rules")["data"]["groups"]
                assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}


def test_observe_removes_processes_and_files_at_the_end(data_dir: DataDir, tmp_path: Path) -> None:
    temp_dir = tmp_path / "tmp"
    temp_dir.mkdir()
    with fake_platform(data_dir):
        command = [sys.executable, "-m", "observability.observe"]
        command += ["--home", str(data_dir.path), "--controller-port", "9"]
        environment = {**os.environ, "TMPDIR": str(temp_dir), "COLUMNS": "200"}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, cwd=Path(__file__).parents[3]
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            address = first.split()[-1].removesuffix("/alerts")
            wait_until(lambda: urlopen(f"{address}/-/ready", timeout=5).status == 200)
            process.send_signal(signal.SIGTERM)
            assert process.stdout.read().splitlines()[-1] == "stopped"
        assert process.returncode == 0
    with pytest.raises(OSError, match="refused"):
        urlopen(address, timeout=5)
    assert list(temp_dir.iterdir()) == []


def test_monitoring_names_the_start_command_when_none_runs(data_dir: DataDir) -> None:
    expected = pytest.raises(LocalPlatformError, match=r"no local platform is running in .*`make run`")
    with expected, run_monitoring_stack(data_dir, print):
        pass


def test_executables_name_the_installation_when_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LocalPlatformError, match="prometheus and alertmanager") as caught:
        Executables.find()
    assert "apt-get install" in str(caught.value)
    assert "\n" not in str(caught.value)
