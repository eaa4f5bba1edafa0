"""Tests of liveness: a service that hangs is killed and restarted, a slow one is not."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.support.local_platform import wait_for
from tests.support.torchserve_process import free_ports
from thale.local.liveness import FACADE_PROBE, TORCHSERVE_PROBE, LivenessMonitor, LivenessProbe
from thale.local.supervised_service import RestartPolicy, Service

BASE = Path(__file__).parents[3] / "kubernetes" / "base"
PROBE = LivenessProbe("/live", period_s=0.2, timeout_s=1.0, failure_threshold=3, startup_s=60.0)
# Responds with a status after a delay.
SERVER = """
import http.server, pathlib, sys, time
port, delay_s, status = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(delay_s)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


@contextmanager
def monitored(
    folder: Path, port: int, probe: LivenessProbe, delay_s: float = 0, status: int = 200
) -> Iterator[tuple[Service, list[str]]]:
    """Run a supervised and monitored server."""
    notices: list[str] = []
    service = Service(
        name="the server",
        command=lambda: [sys.executable, "-c", SERVER, str(port), str(delay_s), str(status)],
        environment={},
        folder=folder,
        log=folder / "server.log",
        notify=notices.append,
        restart_policy=RestartPolicy(max_restarts=1, initial_delay_s=0.01),
    )
    stopping = threading.Event()
    monitor = LivenessMonitor(service, f"http://127.0.0.1:{port}", probe, notices.append)
    thread = threading.Thread(target=monitor.run, args=(stopping,))
    service.start()
    thread.start()
    try:
        yield service, notices
    finally:
        stopping.set()
        thread.join()
        service.stop()


def count_requests(service: Service) -> int:
    return service.log.read_text().count("GET /live")


def server_process(service: Service) -> psutil.Process:
    return psutil.Process(service.process_id).children()[0]


@pytest.mark.slow
def test_monitor_restarts_stopped_service(tmp_path: Path, port: int) -> None:
    with monitored(tmp_path, port, PROBE) as (service, notices):
        wait_for("a response", lambda: count_requests(service))
        stopped = server_process(service)
        stopped.suspend()
        started_s = time.monotonic()
        wait_for("the restart", lambda: service.restart_if_dead() or len(notices) == 2)
        before = count_requests(service)
        wait_for("a response", lambda: service.restart_if_dead() or count_requests(service) > before)
        print(f"recovery of a stopped service: {time.monotonic() - started_s:.1f} s")  # noqa: T201
        assert not stopped.is_running()
        assert notices[0].startswith("the server has not responded for")
        assert "exited with status 137" in notices[1]


@pytest.mark.slow
def test_monitor_does_not_kill_slow_service(tmp_path: Path, port: int) -> None:
    probe = replace(PROBE, timeout_s=30.0)
    with monitored(tmp_path, port, probe, delay_s=1.0) as (service, notices):
        wait_for("slow responses", lambda: count_requests(service) >= 4)
        assert notices == []


@pytest.mark.slow
def test_monitor_does_not_kill_below_failure_threshold(tmp_path: Path, port: int) -> None:
    probe = replace(PROBE, failure_threshold=1000)
    with monitored(tmp_path, port, probe) as (service, notices):
        wait_for("a response", lambda: count_requests(service))
        process = server_process(service)
        process.suspend()
        time.sleep(3)  # several failures
        process.resume()
        before = count_requests(service)
        wait_for("a response", lambda: count_requests(service) > before)
        assert notices == []


@pytest.mark.slow
@pytest.mark.parametrize(("accepts_errors", "is_killed"), [(False, True), (True, False)])
def test_monitor_counts_errors_unless_accepted(
    tmp_path: Path, port: int, accepts_errors: bool, is_killed: bool
) -> None:
    # An error that is not accepted counts after the time to start, which a busy machine needs for the server.
    probe = replace(PROBE, timeout_s=30.0, startup_s=3.0, accepts_errors=accepts_errors)
    with monitored(tmp_path, port, probe, status=500) as (service, notices):
        wait_for("responses", lambda: notices or count_requests(service) >= 20)
        assert bool(notices) == is_killed


@pytest.mark.slow
def test_monitor_waits_for_start_of_service(tmp_path: Path, port: int) -> None:
    with monitored(tmp_path, port, replace(PROBE, period_s=0.05), delay_s=0) as (service, notices):
        wait_for("the server", lambda: psutil.Process(service.process_id).children())
        server_process(service).suspend()
        time.sleep(2)  # more failures than the threshold, before the first response
        assert notices == []


@pytest.mark.parametrize(
    ("probe", "manifest", "find"),
    [
        (FACADE_PROBE, "facade.yaml", lambda document: document["spec"]["template"]["spec"]["containers"][0]),
        (TORCHSERVE_PROBE, "model-server.yaml", lambda document: document["spec"]["containers"][0]),
    ],
    ids=["facade", "TorchServe"],
)
def test_probes_equal_those_of_kubernetes(probe: LivenessProbe, manifest: str, find: Any) -> None:
    documents = yaml.safe_load_all((BASE / manifest).read_text())
    container = next(find(each) for each in documents if each["kind"] in ("Deployment", "ServingRuntime"))
    liveness, startup = container["livenessProbe"], container["startupProbe"]
    assert probe == replace(
        probe,
        path=liveness["httpGet"]["path"],
        period_s=liveness["periodSeconds"],
        timeout_s=liveness["timeoutSeconds"],
        failure_threshold=liveness["failureThreshold"],
        startup_s=startup["periodSeconds"] * startup["failureThreshold"],
    )
