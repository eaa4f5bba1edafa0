"""The rules: Prometheus' own tool accepts them and their tests, and each has a case for firing and one for silence."""

import re
import shutil
import subprocess
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import promql
from thale.facade.api import v1, v2
from thale.slo import read_slo
from thale.telemetry.metrics import SECONDS
from tools.generate import prometheus_rule, slo_rules

REPOSITORY = Path(__file__).parents[2]
RULES = REPOSITORY / "observability" / "rules"
FILES = sorted(RULES.glob("*.yaml"))
TESTS = sorted((RULES / "tests").glob("*_test.yaml"))

Rule = dict[str, Any]


def run_promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not there: apt-get install --no-install-recommends prometheus (`make prometheus`)")
    command = ["promtool", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


def load_rules(path: Path) -> Iterator[Rule]:
    for group in yaml.safe_load(path.read_text())["groups"]:
        yield from group["rules"]


def load_alerts() -> list[Rule]:
    return [rule for path in FILES for rule in load_rules(path) if "alert" in rule]


def test_prometheus_accepts_the_rules_and_the_laptops_configuration() -> None:
    checked = run_promtool("check", "rules", *FILES)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    configuration = REPOSITORY / "observability" / "prometheus" / "laptop.yaml"
    checked = run_promtool("check", "config", "--syntax-only", configuration)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("file", TESTS, ids=[file.stem for file in TESTS])
def test_the_rules_do_what_their_tests_say(file: Path) -> None:
    tested = run_promtool("test", "rules", file)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_rule_has_a_test_that_fires_it_and_one_that_does_not() -> None:
    cases = cases_in_tests()
    for path in FILES:
        for rule in load_rules(path):
            if "record" in rule:
                assert cases[rule["record"]] == {True, False}, rule["record"]
            else:
                name = _rule_key(rule["alert"], rule["labels"])
                assert True in cases[name], f"nothing fires {name}"
                assert False in cases[rule["alert"]], f"{rule['alert']} is silent in no test"


def cases_in_tests() -> dict[str, set[bool]]:
    """Return by rule whether a test expects something of it, and whether one expects nothing."""
    cases: dict[str, set[bool]] = defaultdict(set)
    tests = [test for file in TESTS for test in yaml.safe_load(file.read_text())["tests"]]
    for case in (case for test in tests for case in test.get("promql_expr_test", ())):
        for read in promql.find_selectors(case["expr"]):
            cases[read.metric].add(bool(case["exp_samples"]))
    for case in (case for test in tests for case in test.get("alert_rule_test", ())):
        for alert in case["exp_alerts"]:
            cases[_rule_key(case["alertname"], alert["exp_labels"])].add(True)
        if not case["exp_alerts"]:
            cases[case["alertname"]].add(False)
    return cases


def _rule_key(alert: str, labels: dict[str, str]) -> str:
    """Return what tells a rule from others of its name: the promises' alerts have one for each window."""
    return f"{alert} {labels.get('window', '')}".rstrip()


def test_the_promises_rules_are_those_of_slo_toml() -> None:
    assert slo_rules.OUTPUT_PATH.read_text() == slo_rules.render_rules(read_slo()), "run `make rules`"


def test_every_promised_latency_is_the_edge_of_a_bucket() -> None:
    assert {limit.p99_s for limit in read_slo().latency} <= set(SECONDS)


def test_clusters_get_these_very_rules() -> None:
    assert prometheus_rule.OUTPUT_PATH.read_text() == prometheus_rule.render_manifest(), "run `make rules`"


def test_the_alert_about_drift_has_the_judges_limits() -> None:
    policy = tomllib.loads((REPOSITORY / "services" / "thale" / "release" / "judge" / "policy.toml").read_text())
    (drift,) = [rule["expr"] for rule in load_alerts() if rule["alert"] == "ThaleModelDrifting"]
    limit, plates = re.findall(r"(?:>|>=) (\d[\d.]*)", drift)
    assert (float(limit), int(plates)) == (policy["drift"]["psi"], policy["min_plates"])


def test_the_promises_hold_for_every_route_that_measures_images_and_for_no_other() -> None:
    paths = {route.path for router in (v1.router, v2.router) for route in router.routes}
    measuring = {path for path in paths if re.fullmatch(slo_rules.IMAGE_ROUTES, path)}
    posting = {route.path for router in (v1.router, v2.router) for route in router.routes if "POST" in route.methods}
    assert measuring == posting


def test_pages_are_symptoms_and_tickets_may_be_causes() -> None:
    for rule in load_alerts():
        labels = rule["labels"]
        assert labels["severity"] in ("page", "ticket"), rule["alert"]
        assert labels["severity"] == "ticket" or "cause" not in labels, f"{rule['alert']} wakes somebody for a cause"
        assert labels.get("cause", "serving") == "serving", rule["alert"]
    assert {rule["alert"] for rule in load_alerts() if rule["labels"]["severity"] == "page"} == {
        "ThaleHighErrorRate",
        "ThaleHighLatency",
        "ThaleNoFacade",
    }


def test_every_alert_says_what_is_wrong_and_where_to_read_on() -> None:
    for rule in load_alerts():
        assert re.fullmatch(r"Thale[A-Z]\w+", rule["alert"])
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}, rule["alert"]
        assert rule["annotations"]["runbook_url"] == f"observability/runbooks.md#{rule['alert'].lower()}"


def test_azure_could_take_the_rules() -> None:
    """Twenty rules a group, a group's name once, and durations that terraform/azure/alerts.tf can say in ISO 8601."""
    groups = prometheus_rule.load_rule_groups()
    assert len({group["name"] for group in groups}) == len(groups)
    for group in groups:
        assert len(group["rules"]) <= 20, group["name"]
        for rule in group["rules"]:
            assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m")), rule


def test_a_certificate_is_renewed_before_anybody_is_told_that_it_was_not() -> None:
    (expiring,) = [rule["expr"] for rule in load_alerts() if rule["alert"] == "ThaleCertificateExpiring"]
    alert_days = int(re.findall(r"< (\d+) \* 86400", expiring)[0])
    for manifest in yaml.safe_load_all((REPOSITORY / "kubernetes" / "base" / "certificates.yaml").read_text()):
        if manifest["kind"] == "Certificate":
            assert int(manifest["spec"]["renewBefore"].removesuffix("h")) > 24 * alert_days
