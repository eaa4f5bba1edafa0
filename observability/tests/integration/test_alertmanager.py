"""Who is told what: checked by Alertmanager's own tool, and by a real Alertmanager that is sent alerts."""

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

CONFIGURATION = Path(__file__).parents[2] / "alertmanager" / "alertmanager.yaml"
SECRETS = "/etc/alertmanager/secrets/thale/"
START_TIMEOUT_S = 60.0

Alert = Mapping[str, str]


def amtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    if shutil.which("amtool") is None:
        pytest.skip("amtool is not there: apt-get install --no-install-recommends prometheus-alertmanager")
    return subprocess.run(["amtool", *arguments], capture_output=True, text=True, timeout=60)


def test_alertmanager_accepts_the_configuration() -> None:
    checked = amtool("check-config", str(CONFIGURATION))
    assert checked.returncode == 0, checked.stdout + checked.stderr


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
def test_an_alert_goes_where_its_severity_and_place_say(labels: str, receiver: str) -> None:
    tested = amtool("config", "routes", "test", f"--config.file={CONFIGURATION}", *labels.split())
    assert tested.stdout.strip() == receiver, tested.stderr


def test_secrets_come_from_files_and_stand_nowhere() -> None:
    text = CONFIGURATION.read_text()
    for receiver in yaml.safe_load(text)["receivers"]:
        for kind, entries in receiver.items():
            if kind.endswith("_configs"):
                for entry in entries:
                    assert any(key.endswith("_file") and entry[key].startswith(SECRETS) for key in entry), receiver
    assert not re.search(r"https?://", text)


@contextmanager
def running_alertmanager(configuration: Path, folder: Path) -> Iterator[str]:
    """Run a real Alertmanager; give its address."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("Alertmanager is not there: apt-get install --no-install-recommends prometheus-alertmanager")
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
                assert time.monotonic() < deadline, "it does not get ready"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def write_fast_configuration(folder: Path) -> Path:
    """Return the configuration in a hurry, with its secrets in a folder of the test's."""
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
    """Wait until Alertmanager holds an environment's alerts, by name, for active or suppressed as expected."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        with urlopen(f"{url}/api/v2/alerts?filter=environment%3D%22{environment}%22", timeout=30) as response:
            states_by_alert = {alert["labels"]["alertname"]: alert["status"]["state"] for alert in json.load(response)}
        if states_by_alert == states:
            return
        assert time.monotonic() < deadline, states_by_alert
        time.sleep(0.1)


def test_while_users_are_hurt_causes_are_held_back_and_nothing_else_is(alertmanager: str) -> None:
    send_alerts(
        alertmanager,
        {"alertname": "ThaleHighErrorRate", "environment": "prod", "severity": "page", "slo": "availability"},
        {"alertname": "ThaleErrorBudgetBurning", "environment": "prod", "severity": "ticket", "slo": "availability"},
        {"alertname": "ThaleBreakerOpen", "environment": "prod", "severity": "ticket", "cause": "serving"},
        {"alertname": "ThaleCertificateExpiring", "environment": "prod", "severity": "ticket"},
    )
    expected = {
        "ThaleHighErrorRate": "active",
        "ThaleErrorBudgetBurning": "suppressed",
        "ThaleBreakerOpen": "suppressed",
        "ThaleCertificateExpiring": "active",
    }
    wait_for_alerts(alertmanager, "prod", expected)


def test_trouble_in_one_environment_hides_nothing_in_another(alertmanager: str) -> None:
    cause = {"alertname": "ThaleBreakerOpen", "severity": "ticket", "cause": "serving"}
    page = {"alertname": "ThaleNoFacade", "environment": "staging", "severity": "page"}
    send_alerts(alertmanager, page, {**cause, "environment": "staging"}, {**cause, "environment": "dev"})
    wait_for_alerts(alertmanager, "staging", {"ThaleNoFacade": "active", "ThaleBreakerOpen": "suppressed"})
    wait_for_alerts(alertmanager, "dev", {"ThaleBreakerOpen": "active"})


def test_where_no_facade_is_heard_slowness_is_the_same_news(alertmanager: str) -> None:
    slow = {"alertname": "ThaleHighLatency", "severity": "page", "slo": "latency", "size": "1mp"}
    silent = {"alertname": "ThaleNoFacade", "severity": "page"}
    send_alerts(alertmanager, {**slow, "environment": "test"}, {**silent, "environment": "test"})
    wait_for_alerts(alertmanager, "test", {"ThaleNoFacade": "active", "ThaleHighLatency": "suppressed"})


class WebhookReceiver(BaseHTTPRequestHandler):
    """The other end of a webhook: keeps what it is told."""

    bodies: list[str]

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the standard library)
        pass


def test_a_ticket_is_told_at_the_address_in_its_file_with_what_is_wrong_and_where_to_read_on(tmp_path: Path) -> None:
    WebhookReceiver.bodies = []
    with HTTPServer(("127.0.0.1", 0), WebhookReceiver) as chat:
        threading.Thread(target=chat.serve_forever, daemon=True).start()
        (tmp_path / "slack-webhook-url").write_text(f"http://127.0.0.1:{chat.server_port}/hook")
        with running_alertmanager(write_fast_configuration(tmp_path), tmp_path) as url:
            alert = {"alertname": "ThaleGpuIdle", "environment": "prod", "severity": "ticket"}
            send_alerts(url, alert, summary="GPU 0 was idle", runbook_url="observability/runbooks.md#thalegpuidle")
            deadline = time.monotonic() + START_TIMEOUT_S
            while not WebhookReceiver.bodies:
                assert time.monotonic() < deadline, (tmp_path / "log.txt").read_text()
                time.sleep(0.1)
        chat.shutdown()
    message = WebhookReceiver.bodies[0]
    for text in ("prod: ThaleGpuIdle", "GPU 0 was idle", "runbooks.md#thalegpuidle"):
        assert text in message
