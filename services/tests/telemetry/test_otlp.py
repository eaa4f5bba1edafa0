"""Whatever the collector does, users are answered, and a process ends when it is told to."""

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
"""Less than OpenTelemetry's SDK waits for a collector by itself (30 s), and more than a facade takes to end."""
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


def spans_sent(number: int, **variables: str) -> list[str]:
    """Make spans in a process of its own, and return its log."""
    program = SPANS.replace("NUMBER", str(number))
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=variables, stderr=subprocess.PIPE, text=True, check=True, timeout=120)
    return done.stderr.splitlines()


def facade(folder: Path, endpoint: str) -> AbstractContextManager[FacadeProcess]:
    """A facade without a model: it answers, and has spans to send."""
    state_path = folder / "release-state.json"
    state_path.write_text(ReleaseState(models={}).model_dump_json())
    return facade_process(
        folder / "log",
        THALE_RELEASE_STATE_PATH=str(state_path),
        THALE_POSTPROCESS_WORKERS="1",
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
        OTEL_EXPORTER_OTLP_TIMEOUT="600",
    )


def test_a_collector_that_hangs_or_fails_keeps_nobody_waiting_and_is_told_of_once(
    collector: tuple[str, Collector], tmp_path: Path
) -> None:
    url, collector_state = collector
    with facade(tmp_path, url) as running:
        collector_state.mode = "fails"
        for request_count in range(1, 4):
            assert running.request("GET", "/v1/models").status == 200
            collector_state.wait_for_requests(request_count)
        collector_state.mode = "takes"
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


def test_a_collector_that_is_away_keeps_nobody_waiting() -> None:
    [port] = free_ports(1)
    log = spans_sent(50, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", OTEL_EXPORTER_OTLP_TIMEOUT="600")
    assert len(log) <= 1


def test_the_queue_of_a_collector_that_hangs_is_bounded(collector: tuple[str, Collector]) -> None:
    url, collector_state = collector
    collector_state.mode = "hangs"
    spans_sent(5000, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_EXPORTER_OTLP_TIMEOUT="600")


def test_the_last_spans_arrive_when_a_process_ends(collector: tuple[str, Collector]) -> None:
    url, collector_state = collector
    spans_sent(3, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_BSP_SCHEDULE_DELAY="3600000")
    assert [span.name for span in collector_state.spans()] == ["thale.route"] * 3
    assert collector_state.spans()[0].resource["thale.model"] == "plate-seg"


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_BSP_MAX_QUEUE_SIZE": "-1"},
    ],
)
def test_a_share_can_be_set_and_what_makes_no_sense_is_told_and_costs_nothing_but_spans(
    collector: tuple[str, Collector], variables: dict[str, str]
) -> None:
    url, collector_state = collector
    log = spans_sent(40, OTEL_EXPORTER_OTLP_ENDPOINT=url, **variables)
    assert collector_state.request_count == 0
    assert ("no spans are sent" in "".join(log)) == ("OTEL_TRACES_SAMPLER" not in variables)


@pytest.mark.parametrize(
    ("variables", "sends"),
    [
        ({}, False),
        ({"EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "SDK_DISABLED": "TRUE"}, False),
        ({"EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_standard_variables_say_whether_traces_are_sent(
    variables: dict[str, str], sends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_{name}", value)
    assert OtelSettings().traces_enabled is sends


def test_an_address_for_traces_alone_and_a_name_of_the_service_are_taken(collector: tuple[str, Collector]) -> None:
    url, collector_state = collector
    spans_sent(1, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{url}/v1/traces", OTEL_SERVICE_NAME="greenhouse")
    assert [span.service for span in collector_state.spans()] == ["greenhouse"]


def test_without_a_collector_nobody_imports_the_sdk_and_workers_not_even_what_counts() -> None:
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
    done = subprocess.run([sys.executable, "-c", program], env={}, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["False", "[]"]
