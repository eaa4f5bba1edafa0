"""Rules: promtool accepts them, their tests pass, and each rule fires in one test and is silent in another."""

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
from tools.generate import prometheus_rule, runbook_urls, slo_rules

REPOSITORY = Path(__file__).parents[2]
RULES = REPOSITORY / "observability" / "rules"
FILES = sorted(RULES.glob("*.yaml"))
TESTS = sorted((RULES / "tests").glob("*_test.yaml"))

Rule = dict[str, Any]


def run_promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    if shutil.which("promtool") is None:
        pytest.skip("promtool not found: apt-get install --no-install-recommends prometheus (`make prometheus`)")
    command = ["promtool", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


def load_rules(path: Path) -> Iterator[Rule]:
    for group in yaml.safe_load(path.read_text())["groups"]:
        yield from group["rules"]


def load_alerts() -> list[Rule]:
    return [rule for path in FILES for rule in load_rules(path) if "alert" in rule]


def test_promtool_accepts_rules_and_laptop_configuration() -> None:
    result = run_promtool("check", "rules", *FILES)
    assert result.returncode == 0, result.stdout + result.stderr
    configuration = REPOSITORY / "observability" / "prometheus" / "laptop.yaml"
    result = run_promtool("check", "config", "--syntax-only", configuration)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("file", TESTS, ids=[file.stem for file in TESTS])
def test_promtool_rule_tests_pass(file: Path) -> None:
    result = run_promtool("test", "rules", file)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_rule_has_a_firing_and_a_silent_test() -> None:
    cases = cases_in_tests()
    for path in FILES:
        for rule in load_rules(path):
            if "record" in rule:
                assert cases[rule["record"]] == {True, False}, rule["record"]
            else:
                name = _rule_key(rule["alert"], rule["labels"])
                assert True in cases[name], f"no test fires {name}"
                assert False in cases[rule["alert"]], f"no test keeps {rule['alert']} silent"


def cases_in_tests() -> dict[str, set[bool]]:
    """Return for each rule whether a test expects results (True), and whether one expects none (False)."""
    cases: dict[str, set[bool]] = defaultdict(set)
    tests = [test for file in TESTS for test in yaml.safe_load(file.read_text())["tests"]]
    for case in (case for test in tests for case in test.get("promql_expr_test", ())):
        for selector in promql.find_selectors(case["expr"]):
            cases[selector.metric].add(bool(case["exp_samples"]))
    for case in (case for test in tests for case in test.get("alert_rule_test", ())):
        for alert in case["exp_alerts"]:
            cases[_rule_key(case["alertname"], alert["exp_labels"])].add(True)
        if not case["exp_alerts"]:
            cases[case["alertname"]].add(False)
    return cases


def _rule_key(alert: str, labels: dict[str, str]) -> str:
    """Return the key of a rule. The SLO alerts have several rules with the same name, one for each window."""
    return f"{alert} {labels.get('window', '')}".rstrip()


def test_slo_rules_are_up_to_date() -> None:
    assert slo_rules.OUTPUT_PATH.read_text() == slo_rules.render_rules(read_slo()), "run `make generate`"


def test_latency_objectives_are_bucket_bounds() -> None:
    assert {limit.p99_s for limit in read_slo().latency} <= set(SECONDS)


def test_prometheus_rule_manifest_is_up_to_date() -> None:
    assert prometheus_rule.OUTPUT_PATH.read_text() == prometheus_rule.render_manifest(), "run `make generate`"


def test_drift_alert_uses_the_thresholds_of_the_judge_policy() -> None:
    policy = tomllib.loads((REPOSITORY / "services" / "thale" / "release" / "judge" / "policy.toml").read_text())
    (drift,) = [rule["expr"] for rule in load_alerts() if rule["alert"] == "ThaleModelDrift"]
    limit, plates = re.findall(r"(?:>|>=) (\d[\d.]*)", drift)
    assert (float(limit), int(plates)) == (policy["drift"]["psi"], policy["min_plates"])


def test_slos_cover_exactly_the_routes_that_process_images() -> None:
    routes = [route for router in (v1.router, v2.router) for route in router.routes]
    covered_paths = {route.path for route in routes if re.fullmatch(slo_rules.IMAGE_ROUTES, route.path)}
    assert covered_paths == {route.path for route in routes if "POST" in route.methods}


def test_only_symptoms_page() -> None:
    for rule in load_alerts():
        labels = rule["labels"]
        assert labels["severity"] in ("page", "ticket"), rule["alert"]
        assert labels["severity"] == "ticket" or "cause" not in labels, f"{rule['alert']} pages for a cause"
        assert labels.get("cause", "serving") == "serving", rule["alert"]
    assert {rule["alert"] for rule in load_alerts() if rule["labels"]["severity"] == "page"} == {
        "ThaleHighErrorRate",
        "ThaleHighLatency",
        "ThaleFacadeDown",
    }


def test_every_alert_has_summary_description_and_runbook() -> None:
    for rule in load_alerts():
        assert re.fullmatch(r"Thale[A-Z]\w+", rule["alert"])
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}, rule["alert"]
        assert rule["annotations"]["runbook_url"] == runbook_urls.runbook_url(rule["alert"])


def test_rules_respect_the_limits_of_azure() -> None:
    """Check up to 20 rules per group, unique group names, and durations that terraform/azure/alerts.tf can convert."""
    groups = prometheus_rule.load_rule_groups()
    assert len({group["name"] for group in groups}) == len(groups)
    for group in groups:
        assert len(group["rules"]) <= 20, group["name"]
        for rule in group["rules"]:
            assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m")), rule


def test_certificates_are_renewed_before_the_alert_fires() -> None:
    (expiring,) = [rule["expr"] for rule in load_alerts() if rule["alert"] == "ThaleCertificateExpiring"]
    alert_days = int(re.findall(r"< (\d+) \* 86400", expiring)[0])
    for manifest in yaml.safe_load_all((REPOSITORY / "kubernetes" / "base" / "certificates.yaml").read_text()):
        if manifest["kind"] == "Certificate":
            assert int(manifest["spec"]["renewBefore"].removesuffix("h")) > 24 * alert_days
