"""The dead man's switch: its alert always fires, and reaches the receiver that the setting names."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy import heartbeat
from tools.generate.runbook_urls import runbook_url

REPOSITORY = Path(__file__).parents[2]
MANIFESTS = {
    found["kind"]: found
    for found in yaml.safe_load_all((REPOSITORY / "kubernetes/platform/manifests/heartbeat/heartbeat.yaml").read_text())
}
GROUPS = MANIFESTS["PrometheusRule"]["spec"]["groups"]
((ALERT,),) = [group["rules"] for group in GROUPS]
ROUTE = MANIFESTS["AlertmanagerConfig"]["spec"]["route"]


def test_watchdog_fires_without_any_series(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool not found: apt-get install --no-install-recommends prometheus (`make prometheus`)")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": GROUPS}))
    expected = {"exp_labels": ALERT["labels"], "exp_annotations": ALERT["annotations"]}
    case = {"eval_time": "1m", "alertname": ALERT["alert"], "exp_alerts": [expected]}
    test = {"rule_files": ["rules.yaml"], "tests": [{"interval": "1m", "alert_rule_test": [case]}]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    result = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "test.yaml"], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_watchdog_is_routed_to_the_receiver_of_the_setting() -> None:
    (receiver,) = MANIFESTS["AlertmanagerConfig"]["spec"]["receivers"]
    (webhook,) = receiver["webhookConfigs"]
    assert ROUTE["receiver"] == receiver["name"]
    assert ROUTE["matchers"] == [{"name": "alertname", "value": ALERT["alert"]}]
    assert webhook["urlSecret"] == {"name": heartbeat.SECRET, "key": "url"}
    assert webhook["sendResolved"] is False


def test_watchdog_has_the_namespace_of_the_configuration() -> None:
    namespace = MANIFESTS["AlertmanagerConfig"]["metadata"]["namespace"]
    assert ALERT["labels"]["namespace"] == namespace
    assert ALERT["annotations"]["runbook_url"] == runbook_url(ALERT["alert"])


def test_notifications_repeat_within_the_grace_time() -> None:
    assert (ROUTE["groupWait"], ROUTE["repeatInterval"]) == ("0s", "5m")
