"""Routing and inhibition of alerts, checked by amtool and by a real Alertmanager."""

import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import yaml

pytestmark = pytest.mark.integration

CONFIGURATION = Path(__file__).parents[2] / "alertmanager" / "alertmanager.yaml"
SECRETS = "/etc/alertmanager/secrets/thale/"
START_TIMEOUT_S = 60.0

Alert = Mapping[str, str]


def amtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    if shutil.which("amtool") is None:
        pytest.skip("amtool not found: apt-get install --no-install-recommends prometheus-alertmanager")
    return subprocess.run(["amtool", *arguments], capture_output=True, text=True, timeout=60)


def test_amtool_accepts_the_configuration() -> None:
    result = amtool("check-config", str(CONFIGURATION))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("environment=prod severity=page", "page"),
        ("environment=staging severity=page", "page"),
        ("environment=prod severity=ticket", "ticket"),
        ("environment=laptop severity=page", "laptop"),
        ("environment=laptop severity=ticket", "laptop"),
        ("environment=prod", "ticket"),
    ],
)
def test_alert_is_routed_by_environment_and_severity(labels: str, receiver: str) -> None:
    result = amtool("config", "routes", "test", f"--config.file={CONFIGURATION}", *labels.split())
    assert result.stdout.strip() == receiver, result.stderr


def test_configuration_reads_secrets_from_files() -> None:
    text = CONFIGURATION.read_text()
    for receiver in yaml.safe_load(text)["receivers"]:
        for kind, entries in receiver.items():
            if kind.endswith("_configs"):
                for entry in entries:
                    assert any(key.endswith("_file") and entry[key].startswith(SECRETS) for key in entry), receiver
    assert not re.search(r"https?://", text)


@contextmanager
def running_alertmanager(configuration: Path, folder: Path) -> Iterator[str]:
    """Run a real Alertmanager. Yields its URL."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("Alertmanager not found: apt-get install --no-install-recommends prometheus-alertmanager")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [program, f"--config.file={configuration}", f"--storage.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + START_TIMEOUT_S
    try:
        while True:
            try:
                urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "log.txt").read_text()
                assert time.monotonic() < deadline, "Alertmanager is not ready"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def write_fast_configuration(folder: Path) -> Path:
    """Return the configuration with short waits, and with secrets in the test's folder."""
    text = CONFIGURATION.read_text().replace(SECRETS, f"{folder}/")
    configuration = folder / "alertmanager.yaml"
    configuration.write_text(re.sub(r"group_wait: \w+", "group_wait: 1s", text))
    return configuration


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("alertmanager")
    with running_alertmanager(write_fast_configuration(folder), folder) as url:
        yield url


def send_alerts(url: str, *alerts: Alert, **annotations: str) -> None:
    body = json.dumps([{"labels": alert, "annotations": annotations} for alert in alerts]).encode()
    urlopen(Request(f"{url}/api/v2/alerts", body, {"Content-Type": "application/json"}), timeout=30).close()


def wait_for_alerts(url: str, environment: str, states: Mapping[str, str]) -> None:
    """Wait until the alerts of an environment have the expected states (active or suppressed), by name."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        with urlopen(f"{url}/api/v2/alerts?filter=environment%3D%22{environment}%22", timeout=30) as response:
            states_by_alert = {alert["labels"]["alertname"]: alert["status"]["state"] for alert in json.load(response)}
        if states_by_alert == states:
            return
        assert time.monotonic() < deadline, states_by_alert
        time.sleep(0.1)


def test_page_inhibits_causes_and_slow_burns_only(alertmanager: str) -> None:
    send_alerts(
        alertmanager,
        {"alertname": "ThaleHighErrorRate", "environment": "prod", "severity": "page", "slo": "availability"},
        {"alertname": "ThaleErrorBudgetBurning", "environment": "prod", "severity": "ticket", "slo": "availability"},
        {"alertname": "ThaleCircuitBreakerOpen", "environment": "prod", "severity": "ticket", "cause": "serving"},
        {"alertname": "ThaleCertificateExpiring", "environment": "prod", "severity": "ticket"},
    )
    expected = {
        "ThaleHighErrorRate": "active",
        "ThaleErrorBudgetBurning": "suppressed",
        "ThaleCircuitBreakerOpen": "suppressed",
        "ThaleCertificateExpiring": "active",
    }
    wait_for_alerts(alertmanager, "prod", expected)


def test_inhibition_is_limited_to_one_environment(alertmanager: str) -> None:
    cause = {"alertname": "ThaleCircuitBreakerOpen", "severity": "ticket", "cause": "serving"}
    page = {"alertname": "ThaleFacadeDown", "environment": "staging", "severity": "page"}
    send_alerts(alertmanager, page, {**cause, "environment": "staging"}, {**cause, "environment": "dev"})
    wait_for_alerts(alertmanager, "staging", {"ThaleFacadeDown": "active", "ThaleCircuitBreakerOpen": "suppressed"})
    wait_for_alerts(alertmanager, "dev", {"ThaleCircuitBreakerOpen": "active"})


def test_facade_down_inhibits_latency_alerts(alertmanager: str) -> None:
    slow = {"alertname": "ThaleHighLatency", "severity": "page", "slo": "latency", "size": "1mp"}
    down = {"alertname": "ThaleFacadeDown", "severity": "page"}
    send_alerts(alertmanager, {**slow, "environment": "test"}, {**down, "environment": "test"})
    wait_for_alerts(alertmanager, "test", {"ThaleFacadeDown": "active", "ThaleHighLatency": "suppressed"})


class WebhookReceiver(BaseHTTPRequestHandler):
    """Receiver of a webhook. Stores the request bodies."""

    bodies: list[str]

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the standard library)
        pass


def test_ticket_is_sent_to_the_webhook_with_summary_and_runbook(tmp_path: Path) -> None:
    WebhookReceiver.bodies = []
    with HTTPServer(("127.0.0.1", 0), WebhookReceiver) as chat:
        threading.Thread(target=chat.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        (tmp_path / "slack-webhook-url").write_text(f"http://127.0.0.1:{chat.server_port}/hook")
        with running_alertmanager(write_fast_configuration(tmp_path), tmp_path) as url:
            alert = {"alertname": "ThaleGpuIdle", "environment": "prod", "severity": "ticket"}
            send_alerts(url, alert, summary="GPU 0 is idle", runbook_url="observability/runbooks.md#thalegpuidle")
            deadline = time.monotonic() + START_TIMEOUT_S
            while not WebhookReceiver.bodies:
                assert time.monotonic() < deadline, (tmp_path / "log.txt").read_text()
                time.sleep(0.1)
        chat.shutdown()
    message = WebhookReceiver.bodies[0]
    for text in ("prod: ThaleGpuIdle", "GPU 0 is idle", "runbooks.md#thalegpuidle"):
        assert text in message
