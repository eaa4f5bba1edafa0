"""Logs as one JSON object a line, of fields that stand on a list.

A line says when, how bad, which module, a constant message, which request (`request_id`, `trace_id`, `span_id`), and
fields of `FIELDS`. A field that is not on the list is dropped: so no image, no file name of a user's and no client's
address gets into a log because somebody found it handy. What a user wrote is answered to that user, never logged; only
the traceback of an exception that nobody expected is logged as it is.
"""

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

from opentelemetry import trace

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that the current task works on; every log line carries it."""

FIELDS: Mapping[str, str] = {
    "bytes": "length of a model's answer",
    "code": "stable name of a problem",
    "config_map": "name of the Kubernetes object that holds the watcher's notes",
    "engine": "what runs a net",
    "error": "why something of ours failed: another process, a file of ours, the network",
    "folder": "where thale keeps files of its own",
    "resumed_rollouts": "models whose rollouts a watcher takes over",
    "host": "address that is listened on",
    "lease": "name of the Kubernetes object by which watchers agree on a leader",
    "lost": "spans that did not reach the collector",
    "method": "HTTP method",
    "model": "name of a model",
    "models": "what is released",
    "path": "where thale keeps a file of its own",
    "port": "port that is listened on",
    "reason": "why the stable version served a failed canary request",
    "reasons": "what the judge has against a step",
    "route": "template of the route",
    "seconds": "how long it took",
    "status": "HTTP status",
    "step": "of a training run",
    "step_s": "since a rollout's present step began",
    "dependency": "what is waited for",
    "version": "version of a model",
    "versions": "models that answered, and in which version",
}
"""What a log line may say besides what every line says. Held against the code by a test, in both directions."""

AUDIT_FIELDS: Mapping[str, str] = {
    "at": "when a release was changed",
    "digest": "of a registered archive",
    "new": "whether the store did not have it",
    "stable": "the version that answers from then on",
    "uri": "where it is stored",
    "weight_percent": "the canary's share from then on",
    "what": "what was done",
    "who": "who did it: an operator or a watcher, who answers for it",
    "why": "in the operator's words, or the judge's",
}
"""What the audit log says besides: who changed what is served. Nobody who only sends images comes into it."""

AUDIT = "thale.audit"
_METRIC_PREFIXES = ("dice_", "landmark_f1")  # how well a registered archive did, by organ
_MAX_LENGTH = 1000
_PACKAGES = ("thale", "thale_models")
_SERVER_LOGGERS = ("uvicorn",)
"""The level is for these and ours. At `debug`, other packages' would tell bodies and tokens: they only warn."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (request_id := REQUEST_ID.get()) is not None:
            line["request_id"] = _truncate(request_id)
        if (context := trace.get_current_span().get_span_context()).is_valid:
            line["trace_id"] = trace.format_trace_id(context.trace_id)
            line["span_id"] = trace.format_span_id(context.span_id)
        line |= {name: _truncate(value) for name, value in vars(record).items() if _is_allowed(name, record.name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=_to_text, ensure_ascii=False)


def configure(level: str = "info") -> None:
    """Send all logs of this process to standard error as JSON lines. Called once, by whoever starts the process."""
    logging.basicConfig(level=logging.WARNING, handlers=[_handler(sys.stderr)], force=True)
    for name in (*_PACKAGES, *_SERVER_LOGGERS):
        logging.getLogger(name).setLevel(level.upper())


def configure_package_loggers() -> None:
    """Send thale's logs to standard output as JSON lines, and leave all others as they are.

    For a worker: TorchServe takes what its own code says there at its word.
    """
    handler = _handler(sys.stdout)
    for name in _PACKAGES:
        package_logger = logging.getLogger(name)
        package_logger.handlers, package_logger.propagate = [handler], False


def _handler(stream: TextIO) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    return handler


def _is_allowed(name: str, logger: str) -> bool:
    return name in FIELDS or (logger == AUDIT and (name in AUDIT_FIELDS or name.startswith(_METRIC_PREFIXES)))


def _truncate(value: object) -> object:
    return f"{value[:_MAX_LENGTH]}…" if isinstance(value, str) and len(value) > _MAX_LENGTH else value


def _to_text(value: object) -> str:
    """Tell what JSON cannot: never bytes, which may be somebody's picture."""
    return f"{len(value)} bytes" if isinstance(value, bytes | bytearray | memoryview) else str(value)[:_MAX_LENGTH]
