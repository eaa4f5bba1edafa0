"""The collector's configuration: nothing here runs a collector, so what can be held together without one is."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from thale.facade.settings import Settings
from thale.telemetry.tracing import ATTRIBUTES

REPO_ROOT = Path(__file__).resolve().parents[2]
OTEL = REPO_ROOT / "observability" / "otel"
VARIABLE = re.compile(r"\$\{env:([A-Z_]+)")


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((OTEL / "collector.yaml").read_text())
    return read


def policies(config: dict[str, Any]) -> dict[str, Any]:
    return {policy["type"]: policy[policy["type"]] for policy in config["processors"]["tail_sampling"]["policies"]}


def test_a_pipeline_uses_what_is_declared_and_limits_memory_before_all_else(config: dict[str, Any]) -> None:
    for pipeline in config["service"]["pipelines"].values():
        assert set(pipeline["receivers"]) <= set(config["receivers"])
        assert set(pipeline["processors"]) == set(config["processors"])
        assert (pipeline["processors"][0], pipeline["processors"][-1]) == ("memory_limiter", "batch")
        assert [VARIABLE.match(exporter)[1] for exporter in pipeline["exporters"]] == ["THALE_TRACES_TO"]  # type: ignore[index]
    assert set(config["service"]["extensions"]) == set(config["extensions"])


def test_traces_are_judged_when_they_have_ended_by_what_spans_really_say(config: dict[str, Any]) -> None:
    wait_s = float(config["processors"]["tail_sampling"]["decision_wait"].removesuffix("s"))
    assert wait_s > Settings.model_fields["request_timeout_s"].default
    sampling_policies = policies(config)
    assert set(sampling_policies) == {"status_code", "latency", "string_attribute", "probabilistic"}
    assert sampling_policies["string_attribute"]["key"] in ATTRIBUTES
    assert set(sampling_policies["string_attribute"]["values"]) <= set(re.findall(r"\w+", ATTRIBUTES["thale.role"]))


def test_what_is_slow_is_what_the_promises_call_slow(config: dict[str, Any]) -> None:
    slo = tomllib.loads((REPO_ROOT / "services" / "thale" / "slo.toml").read_text())
    limits_ms = [1000 * limit["p99_s"] for limit in slo["latency"]]
    assert policies(config)["latency"]["threshold_ms"] in limits_ms


def test_the_readme_explains_every_variable_and_every_exporter(config: dict[str, Any]) -> None:
    readme = (OTEL / "README.md").read_text()
    variables = VARIABLE.findall((OTEL / "collector.yaml").read_text())
    assert all(f"`{name}`" in readme for name in [*variables, *config["exporters"]])
