"""Tracing: exemplars, propagation between processes, and the allow-list of span attributes."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from thale.telemetry import tracing
from thale.telemetry.logs import REQUEST_ID
from thale.telemetry.step_timing import record_steps, step

REPO_ROOT = Path(__file__).resolve().parents[3]
NAME = re.compile(r"(http|url|server|error|thale)(\.[a-z_]+)+")
TRACE, PARENT = "c" * 32, "d" * 16
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


def test_exemplar_is_the_trace_id_of_an_exported_trace_only() -> None:
    assert tracing.exemplar() is None
    with TracerProvider(shutdown_on_exit=False).get_tracer("test").start_as_current_span("exported") as span:
        assert tracing.exemplar() == {"trace_id": trace.format_trace_id(span.get_span_context().trace_id)}
    with TracerProvider(ALWAYS_OFF, shutdown_on_exit=False).get_tracer("test").start_as_current_span("dropped"):
        assert tracing.exemplar() is None
    remote = SpanContext(int(TRACE, 16), int(PARENT, 16), is_remote=True, trace_flags=TraceFlags(1))
    with trace.use_span(NonRecordingSpan(remote)):
        assert tracing.exemplar() is None


def test_trace_context_is_propagated_without_a_collector() -> None:
    request_headers = {"traceparent": TRACEPARENT, "tracestate": "lab=1", "x-request-id": "case-17"}
    with tracing.server_span(request_headers, images=1), tracing.span("thale.route"):
        assert tracing.outgoing_headers() == request_headers
    assert tracing.outgoing_headers() == {}
    assert REQUEST_ID.get() is None


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "garbage",
        "00-" + "0" * 32 + f"-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        "x" * 9999,
    ],
)
def test_request_span_ignores_an_invalid_traceparent(traceparent: str) -> None:
    with tracing.request_span("GET", "http", {"traceparent": traceparent, "tracestate": "=,;" * 999}, "id"):
        assert tracing.outgoing_headers() == {}


def test_spans_without_a_collector_are_no_ops() -> None:
    with record_steps() as timings, step("plants"):
        pass
    tracing.spans_from_steps(timings)
    with pytest.raises(ValueError, match="broken"), tracing.span("thale.postprocess"):
        raise ValueError("broken")


@pytest.mark.slow
def test_spans_use_exactly_the_listed_attributes() -> None:
    sources = [*(REPO_ROOT / "services/thale").rglob("*.py"), *(REPO_ROOT / "model-server/thale_models").rglob("*.py")]
    used = {name for path in sources for name in attribute_names(ast.parse(path.read_text()))}
    assert used == set(tracing.ATTRIBUTES)


def attribute_names(tree: ast.Module) -> Iterator[str]:
    """Yield the span attributes that a module sets, in dicts or one at a time."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "ATTRIBUTES":
            assert isinstance(node.value, ast.Dict)
            node.value.keys.clear()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "set_attribute":
            yield constant_value(node.args[0])
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            yield from filter(NAME.fullmatch, [constant_value(node.targets[0].slice)])
        if isinstance(node, ast.Dict):
            yield from (constant_value(key) for key in node.keys if NAME.fullmatch(constant_value(key)))


def constant_value(node: ast.expr | None) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""
