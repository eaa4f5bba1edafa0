"""Structured logs: the JSON format, and the allow-list of fields, compared with every log call in the source."""

import ast
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from thale.schemas import ReleaseEvent
from thale.telemetry import logs

REPO_ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("services/thale", "model-server/thale_models")
AUDIT_CALLS = {
    ("update.py", "event"): frozenset(ReleaseEvent.model_fields),
    ("register.py", "metrics"): frozenset({"dice_root"}),
}
"""Fields of calls that unpack a mapping, which the source alone does not show: a release event, quality metrics."""


def test_json_formatter_writes_fields_and_request_id() -> None:
    record = logging.makeLogRecord({"name": "thale", "levelname": "INFO", "msg": "two\nlines", "seconds": 84})
    token = logs.REQUEST_ID.set("abc")
    line = logs.JsonFormatter().format(record)
    logs.REQUEST_ID.reset(token)
    assert "\n" not in line
    parsed_line = json.loads(line)
    assert (parsed_line["message"], parsed_line["seconds"], parsed_line["request_id"]) == ("two\nlines", 84, "abc")


def test_json_formatter_writes_the_exception() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.makeLogRecord({"exc_info": sys.exc_info()})
    assert "ValueError: broken" in json.loads(logs.JsonFormatter().format(record))["exception"]


def test_json_formatter_writes_the_trace_and_span_id() -> None:
    span_context = SpanContext(trace_id=0xABC, span_id=0xDEF, is_remote=True, trace_flags=TraceFlags(1))
    with trace.use_span(NonRecordingSpan(span_context)):
        parsed_line = format_line(seconds=1)
    assert (parsed_line["trace_id"], parsed_line["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    assert "trace_id" not in format_line(seconds=1)


def test_json_formatter_drops_unlisted_fields() -> None:
    parsed_line = format_line(seconds=1, image_name="anna.jpg", client="192.0.2.7", who="anna")
    assert set(parsed_line) == {"time", "level", "logger", "message", "seconds"}


def test_json_formatter_limits_audit_fields_to_the_audit_log() -> None:
    assert format_line(logs.AUDIT, who="anna", dice_root=0.8) == format_line(logs.AUDIT) | {
        "who": "anna",
        "dice_root": 0.8,
    }


def test_json_formatter_replaces_bytes_and_truncates_text() -> None:
    parsed_line = format_line(error=b"\x89PNG and so on", reason="x" * 5000, dependency=Path("x" * 5000))
    assert parsed_line["error"] == "14 bytes"
    assert len(str(parsed_line["reason"])) < 1100
    assert len(str(parsed_line["dependency"])) < 1100


def test_configure_leaves_other_packages_at_warning() -> None:
    names = ["", "thale", "thale_models", "uvicorn"]
    levels = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    handlers = list(logging.getLogger().handlers)
    try:
        logs.configure("debug")
        assert logging.getLogger("thale.facade").isEnabledFor(logging.DEBUG)
        assert not logging.getLogger("kubernetes.client.rest").isEnabledFor(logging.INFO)
    finally:
        logging.getLogger().handlers = handlers
        for logger, level in levels:
            logger.setLevel(level)


@pytest.mark.slow
def test_log_calls_use_exactly_the_listed_fields() -> None:
    plain: set[str] = set()
    audit: set[str] = set()
    for path in (path for source in SOURCES for path in sorted((REPO_ROOT / source).rglob("*.py"))):
        for logger, names in logged_fields(path):
            (audit if logger == "audit" else plain).update(names)
    assert plain == set(logs.FIELDS)
    assert audit - plain - {"dice_root"} == set(logs.AUDIT_FIELDS)


@pytest.mark.slow
def test_log_messages_are_constant() -> None:
    for path in (path for source in SOURCES for path in sorted((REPO_ROOT / source).rglob("*.py"))):
        for call in log_calls(ast.parse(path.read_text())):
            message = call.args[0 if call.func.attr != "log" else 1]  # type: ignore[attr-defined]
            assert not isinstance(message, ast.JoinedStr | ast.BinOp), f"{path}:{call.lineno}"


def format_line(logger: str = "thale", **fields: object) -> dict[str, object]:
    record = logging.makeLogRecord({"name": logger, "levelname": "INFO", "msg": "message", "created": 0.0, **fields})
    parsed_line: dict[str, object] = json.loads(logs.JsonFormatter().format(record))
    return parsed_line


def logged_fields(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield the logger and the fields of each call in a module that logs fields."""
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        known = {
            target.id: node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for call in log_calls(function):
            for keyword in call.keywords:
                if keyword.arg == "extra":
                    yield call.func.value.id, fields(keyword.value, known, path)  # type: ignore[attr-defined]


def log_calls(tree: ast.AST) -> Iterator[ast.Call]:
    levels = {"debug", "info", "warning", "error", "exception", "critical", "log"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in levels:
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id in ("logger", "audit"):
                yield node
            elif isinstance(owner, ast.Call) and ast.unparse(owner.func) == "logging.getLogger":
                node.func.value = ast.Name("logger")
                yield node


def fields(value: ast.expr, known: dict[str, ast.expr], path: Path) -> set[str]:
    """Return the keys of a dict literal, or of a combination of dict literals."""
    if isinstance(value, ast.Name):
        if (path.name, value.id) in AUDIT_CALLS:
            return set(AUDIT_CALLS[path.name, value.id])
        assert value.id in known, f"{path}:{value.lineno}: pass the fields as a dict literal"
        return fields(known[value.id], known, path)
    assert isinstance(value, ast.Dict), f"{path}:{value.lineno}: pass the fields as a dict literal"
    names: set[str] = set()
    for key, value_node in zip(value.keys, value.values, strict=True):
        if key is None:
            names |= fields(value_node, known, path)
        else:
            assert isinstance(key, ast.Constant), f"{path}:{key.lineno}"
            names.add(str(key.value))
    return names
