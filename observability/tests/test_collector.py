"""Configuration of the OpenTelemetry collector, compared with thale's spans and SLOs. No test runs a collector."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from thale.facade.settings import FacadeSettings
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


def test_pipeline_uses_declared_components_memory_limiter_first(config: dict[str, Any]) -> None:
    for pipeline in config["service"]["pipelines"].values():
        assert set(pipeline["receivers"]) <= set(config["receivers"])
        assert set(pipeline["processors"]) == set(config["processors"])
        assert (pipeline["processors"][0], pipeline["processors"][-1]) == ("memory_limiter", "batch")
        assert [VARIABLE.match(exporter)[1] for exporter in pipeline["exporters"]] == ["THALE_TRACES_TO"]  # type: ignore[index]
    assert set(config["service"]["extensions"]) == set(config["extensions"])


def test_sampling_waits_for_the_end_and_uses_existing_attributes(config: dict[str, Any]) -> None:
    wait_s = float(config["processors"]["tail_sampling"]["decision_wait"].removesuffix("s"))
    assert wait_s > FacadeSettings.model_fields["request_timeout_s"].default
    sampling_policies = policies(config)
    assert set(sampling_policies) == {"status_code", "latency", "string_attribute", "probabilistic"}
    assert sampling_policies["string_attribute"]["key"] in ATTRIBUTES
    assert set(sampling_policies["string_attribute"]["values"]) <= set(re.findall(r"\w+", ATTRIBUTES["thale.role"]))


def test_latency_policy_uses_a_limit_of_the_slo(config: dict[str, Any]) -> None:
    slo = tomllib.loads((REPO_ROOT / "services" / "thale" / "slo" / "slo.toml").read_text())
    limits_ms = [1000 * limit["p99_s"] for limit in slo["latency"]]
    assert policies(config)["latency"]["threshold_ms"] in limits_ms


def test_readme_lists_every_variable_and_exporter(config: dict[str, Any]) -> None:
    readme = (OTEL / "README.md").read_text()
    variables = VARIABLE.findall((OTEL / "collector.yaml").read_text())
    assert all(f"`{name}`" in readme for name in [*variables, *config["exporters"]])
