"""Span export: a failing collector delays neither responses nor shutdown."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.facade_process import FacadeProcess, facade_process
from tests.support.otlp_receiver import Collector, running_collector
from tests.support.torchserve_process import free_ports
from thale.schemas import ReleaseState
from thale.telemetry.otel_settings import OtelSettings

MAX_STOP_S = 25.0
"""Less than the SDK's own timeout for a collector (30 s), and more than the shutdown of a facade takes."""
SPANS = """
import logging
from thale.telemetry import logs
from thale.telemetry.otel_settings import OtelSettings
from thale.telemetry import tracing

logs.configure()
stop = tracing.configure_tracing("test", OtelSettings(), {"thale.model": "plate-seg"})
for number in range(NUMBER):
    with tracing.span("thale.route"):
        pass
stop()
"""


@pytest.fixture
def collector() -> Iterator[tuple[str, Collector]]:
    with running_collector() as running:
        yield running


def send_spans(number: int, **variables: str) -> list[str]:
    """Create spans in a separate process, and return its log."""
    program = SPANS.replace("NUMBER", str(number))
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env=variables, stderr=subprocess.PIPE, text=True, check=True, timeout=120)
    return result.stderr.splitlines()


def facade(folder: Path, endpoint: str) -> AbstractContextManager[FacadeProcess]:
    """Start a facade without models. Its requests create spans."""
    state_path = folder / "release-state.json"
    state_path.write_text(ReleaseState(models={}).model_dump_json())
    return facade_process(
        folder / "log",
        THALE_RELEASE_STATE_PATH=str(state_path),
        THALE_POSTPROCESS_WORKERS="1",
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
        OTEL_EXPORTER_OTLP_TIMEOUT="600",
    )


@pytest.mark.integration
def test_facade_responds_when_the_collector_hangs_or_fails(collector: tuple[str, Collector], tmp_path: Path) -> None:
    url, collector_state = collector
    with facade(tmp_path, url) as running:
        collector_state.mode = "fails"
        for request_count in range(1, 4):
            assert running.request("GET", "/v1/models").status == 200
            collector_state.wait_for_requests(request_count)
        collector_state.mode = "accepts"
        running.request("GET", "/v1/models")
        collector_state.wait_for(lambda spans: bool(spans))
        collector_state.mode = "hangs"
        request_count = collector_state.request_count
        running.request("GET", "/v1/models")
        collector_state.wait_for_requests(request_count + 1)
        assert all(running.request("GET", "/v1/models").status == 200 for _ in range(50))
        assert not collector_state.stopping.is_set()
        running.stop(MAX_STOP_S)
        messages = [line["message"] for line in running.log_lines() if line["logger"] == "thale.telemetry.otlp"]
        assert messages == ["spans dropped: collector unreachable", "span export recovered"]
        assert not any(line["logger"].startswith("opentelemetry") for line in running.log_lines())


@pytest.mark.slow
def test_exporter_stops_when_the_collector_is_unreachable() -> None:
    [port] = free_ports(1)
    log = send_spans(50, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", OTEL_EXPORTER_OTLP_TIMEOUT="600")
    assert len(log) <= 1


@pytest.mark.slow
def test_exporter_queue_is_bounded_when_the_collector_hangs(collector: tuple[str, Collector]) -> None:
    url, collector_state = collector
    collector_state.mode = "hangs"
    send_spans(5000, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_EXPORTER_OTLP_TIMEOUT="600")


@pytest.mark.slow
def test_exporter_flushes_spans_at_shutdown(collector: tuple[str, Collector]) -> None:
    url, collector_state = collector
    send_spans(3, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_BSP_SCHEDULE_DELAY="3600000")
    assert [span.name for span in collector_state.spans()] == ["thale.route"] * 3
    assert collector_state.spans()[0].resource["thale.model"] == "plate-seg"


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_BSP_MAX_QUEUE_SIZE": "-1"},
    ],
)
def test_exporter_samples_and_logs_invalid_variables(
    collector: tuple[str, Collector], variables: dict[str, str]
) -> None:
    url, collector_state = collector
    log = send_spans(40, OTEL_EXPORTER_OTLP_ENDPOINT=url, **variables)
    assert collector_state.request_count == 0
    assert ("tracing disabled" in "".join(log)) == ("OTEL_TRACES_SAMPLER" not in variables)


@pytest.mark.parametrize(
    ("variables", "enabled"),
    [
        ({}, False),
        ({"EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "SDK_DISABLED": "TRUE"}, False),
        ({"EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "TRACES_EXPORTER": "none"}, False),
    ],
)
def test_otel_settings_enable_traces_by_standard_variables(
    variables: dict[str, str], enabled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_{name}", value)
    assert OtelSettings().traces_enabled is enabled


@pytest.mark.slow
def test_exporter_uses_traces_endpoint_and_service_name(collector: tuple[str, Collector]) -> None:
    url, collector_state = collector
    send_spans(1, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{url}/v1/traces", OTEL_SERVICE_NAME="greenhouse")
    assert [span.service for span in collector_state.spans()] == ["greenhouse"]


@pytest.mark.slow
def test_sdk_and_prometheus_client_are_imported_only_when_needed() -> None:
    program = """
import sys
import thale_models.handlers.segment
print("prometheus_client" in sys.modules)
import thale.facade.app, thale.facade.postprocess.shadow_comparison
from thale.telemetry.otel_settings import OtelSettings
from thale.telemetry import tracing
tracing.configure_tracing("test", OtelSettings())()
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))])
"""
    result = subprocess.run([sys.executable, "-c", program], env={}, stdout=subprocess.PIPE, text=True, check=True)
    assert result.stdout.split("\n")[:2] == ["False", "[]"]
