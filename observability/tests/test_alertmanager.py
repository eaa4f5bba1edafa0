"""Who is told what: checked by Alertmanager's own tool, and by a real Alertmanager that is sent alerts."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import yaml

CONFIGURATION = Path(__file__).parents[1] / "alertmanager" / "alertmanager.yaml"
START_LIMIT_S = 60.0

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
                    assert any(key.endswith("_file") and entry[key].startswith("secrets/") for key in entry), receiver
    assert not re.search(r"https?://", text)


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a real Alertmanager and return its address."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("Alertmanager is not there: apt-get install --no-install-recommends prometheus-alertmanager")
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    folder = tmp_path_factory.mktemp("alertmanager")
    command = [program, f"--config.file={CONFIGURATION}", f"--storage.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    until = time.monotonic() + START_LIMIT_S
    try:
        while True:
            try:
                urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "log.txt").read_text()
                assert time.monotonic() < until, "it does not get ready"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def told(url: str, alerts: list[Alert]) -> dict[str, str]:
    """Send alerts; return what Alertmanager does with those of their environment: active or suppressed, by name."""
    body = json.dumps([{"labels": alert, "annotations": {}} for alert in alerts]).encode()
    urlopen(Request(f"{url}/api/v2/alerts", body, {"Content-Type": "application/json"}), timeout=30).close()
    environment = alerts[0]["environment"]
    until = time.monotonic() + START_LIMIT_S
    while True:  # an alert is `unprocessed` until it was routed, group by group
        with urlopen(f"{url}/api/v2/alerts?filter=environment%3D%22{environment}%22", timeout=30) as answer:
            states = {found["labels"]["alertname"]: found["status"]["state"] for found in json.load(answer)}
        if len(states) == len(alerts) and "unprocessed" not in states.values():
            return states
        assert time.monotonic() < until, states
        time.sleep(0.1)


def test_while_users_are_hurt_causes_are_held_back_and_nothing_else_is(alertmanager: str) -> None:
    states = told(
        alertmanager,
        [
            {"alertname": "ThaleRequestsFailing", "environment": "prod", "severity": "page", "slo": "availability"},
            {
                "alertname": "ThaleErrorBudgetBurning",
                "environment": "prod",
                "severity": "ticket",
                "slo": "availability",
            },
            {"alertname": "ThaleBreakerOpen", "environment": "prod", "severity": "ticket", "cause": "serving"},
            {"alertname": "ThaleCertificateExpiring", "environment": "prod", "severity": "ticket"},
        ],
    )
    assert states == {
        "ThaleRequestsFailing": "active",
        "ThaleErrorBudgetBurning": "suppressed",
        "ThaleBreakerOpen": "suppressed",
        "ThaleCertificateExpiring": "active",
    }


def test_trouble_in_one_environment_hides_nothing_in_another(alertmanager: str) -> None:
    told(alertmanager, [{"alertname": "ThaleNoFacade", "environment": "staging", "severity": "page"}])
    causes = [{"alertname": "ThaleBreakerOpen", "environment": "dev", "severity": "ticket", "cause": "serving"}]
    assert told(alertmanager, causes) == {"ThaleBreakerOpen": "active"}


def test_where_no_facade_is_heard_slowness_is_the_same_news(alertmanager: str) -> None:
    states = told(
        alertmanager,
        [
            {"alertname": "ThaleNoFacade", "environment": "test", "severity": "page"},
            {
                "alertname": "ThaleAnswersSlow",
                "environment": "test",
                "severity": "page",
                "slo": "latency",
                "size": "1mp",
            },
        ],
    )
    assert states == {"ThaleNoFacade": "active", "ThaleAnswersSlow": "suppressed"}
