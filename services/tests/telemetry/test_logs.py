"""What a log line may say: the fields of a list, held against every call in the source, in both directions."""

import ast
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from thale.schemas import ReleaseEvent
from thale.telemetry import logs

REPO_ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("services/thale", "model-server/thale_models")
AUDIT_CALLS = {
    ("update.py", "line"): frozenset(ReleaseEvent.model_fields),
    ("register.py", "metrics"): frozenset({"dice_root"}),
}
"""What calls spread that no reader of the source alone can know: a release's change, and how well an archive did."""


def test_a_log_line_is_one_json_object_with_its_fields_and_request() -> None:
    record = logging.makeLogRecord({"name": "thale", "levelname": "INFO", "msg": "two\nlines", "seconds": 84})
    token = logs.REQUEST_ID.set("abc")
    line = logs.JsonFormatter().format(record)
    logs.REQUEST_ID.reset(token)
    assert "\n" not in line
    parsed_line = json.loads(line)
    assert (parsed_line["message"], parsed_line["seconds"], parsed_line["request_id"]) == ("two\nlines", 84, "abc")


def test_a_log_line_tells_the_exception() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.makeLogRecord({"exc_info": sys.exc_info()})
    assert "ValueError: broken" in json.loads(logs.JsonFormatter().format(record))["exception"]


def test_a_log_line_leads_to_its_trace() -> None:
    span_context = SpanContext(trace_id=0xABC, span_id=0xDEF, is_remote=True, trace_flags=TraceFlags(1))
    with trace.use_span(NonRecordingSpan(span_context)):
        parsed_line = format_line(seconds=1)
    assert (parsed_line["trace_id"], parsed_line["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    assert "trace_id" not in format_line(seconds=1)


def test_a_field_that_is_not_on_the_list_is_dropped() -> None:
    parsed_line = format_line(seconds=1, image_name="anna.jpg", client="192.0.2.7", who="anna")
    assert set(parsed_line) == {"time", "level", "logger", "message", "seconds"}


def test_only_the_audit_log_says_who() -> None:
    assert format_line(logs.AUDIT, who="anna", dice_root=0.8) == format_line(logs.AUDIT) | {
        "who": "anna",
        "dice_root": 0.8,
    }


def test_no_picture_and_no_endless_text_gets_in_by_a_listed_field() -> None:
    parsed_line = format_line(error=b"\x89PNG and so on", reason="x" * 5000, dependency=Path("x" * 5000))
    assert parsed_line["error"] == "14 bytes"
    assert len(str(parsed_line["reason"])) < 1100
    assert len(str(parsed_line["dependency"])) < 1100


def test_the_level_is_for_ours_and_others_say_warnings_alone() -> None:
    named = ["", "thale", "thale_models", "uvicorn"]
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in named]
    handlers = list(logging.getLogger().handlers)
    try:
        logs.configure("debug")
        assert logging.getLogger("thale.facade").isEnabledFor(logging.DEBUG)
        assert not logging.getLogger("kubernetes.client.rest").isEnabledFor(logging.INFO)
    finally:
        logging.getLogger().handlers = handlers
        for logger, level in before:
            logger.setLevel(level)


def test_every_field_in_the_source_is_on_the_list_and_every_listed_one_is_used() -> None:
    plain: set[str] = set()
    audit: set[str] = set()
    for path in (path for source in SOURCES for path in sorted((REPO_ROOT / source).rglob("*.py"))):
        for logger, names in logged_fields(path):
            (audit if logger == "audit" else plain).update(names)
    assert plain == set(logs.FIELDS)
    assert audit - plain - {"dice_root"} == set(logs.AUDIT_FIELDS)


def test_no_message_is_put_together_at_run_time() -> None:
    for path in (path for source in SOURCES for path in sorted((REPO_ROOT / source).rglob("*.py"))):
        for call in log_calls(ast.parse(path.read_text())):
            message = call.args[0 if call.func.attr != "log" else 1]  # type: ignore[attr-defined]
            assert not isinstance(message, ast.JoinedStr | ast.BinOp), f"{path}:{call.lineno}"


def format_line(logger: str = "thale", **fields: object) -> dict[str, object]:
    record = logging.makeLogRecord({"name": logger, "levelname": "INFO", "msg": "said", "created": 0.0, **fields})
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
    """Return the keys of a dict that is written down, or put together of such."""
    if isinstance(value, ast.Name):
        if (path.name, value.id) in AUDIT_CALLS:
            return set(AUDIT_CALLS[path.name, value.id])
        assert value.id in known, f"{path}:{value.lineno}: write down the fields where they are logged"
        return fields(known[value.id], known, path)
    assert isinstance(value, ast.Dict), f"{path}:{value.lineno}: write down the fields where they are logged"
    names: set[str] = set()
    for key, value_node in zip(value.keys, value.values, strict=True):
        if key is None:
            names |= fields(value_node, known, path)
        else:
            assert isinstance(key, ast.Constant), f"{path}:{key.lineno}"
            names.add(str(key.value))
    return names
