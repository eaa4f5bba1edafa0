"""Structured logs: one JSON object per line, with fields from an allow-list.

A line has the time, the level, the logger, a constant message, the request (`request_id`, `trace_id`, `span_id`), and
fields of `FIELDS`. A field that is not listed is dropped. Images, file names of users and client addresses therefore
never reach a log. User input is returned to the user and never logged. The only exception is the traceback of an
unexpected exception, which is logged unchanged. docs/adr/0062-log-and-span-allow-lists.md has the reasons.
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
"""The ID of the current task's request. Every log line contains it."""

FIELDS: Mapping[str, str] = {
    "annotations": "keys of annotations that KServe copies into pods",
    "bytes": "length of a model's response",
    "code": "stable code of a problem",
    "config_map": "name of the ConfigMap that stores the rollout controller's checkpoint",
    "engine": "inference engine of a model",
    "error": "cause of a failure inside thale: another process, a file of thale's, the network",
    "experiment": "random id of an experiment, which contains no part of its name",
    "folder": "directory with thale's own files",
    "resumed_rollouts": "models whose rollouts a new leader resumes",
    "host": "listen address",
    "images": "number of images",
    "lease": "name of the Kubernetes Lease of the leader election",
    "lost": "number of spans that did not reach the collector",
    "method": "HTTP method",
    "model": "name of a model",
    "models": "released models and their versions",
    "path": "path of one of thale's own files",
    "port": "listen port",
    "principal": "identifier of the authenticated caller: the id of a key, or of an object in Entra ID",
    "reason": "reason for the fallback to the stable version",
    "reasons": "the judge's reasons against a step",
    "requests": "number of requests that exceeded the drain timeout",
    "route": "route template",
    "seconds": "duration",
    "sha256": "SHA-256 digest of an image's bytes, which names neither a file nor an experiment",
    "state": "state of a predictor's pods",
    "status": "HTTP status",
    "step": "step of a training run",
    "step_s": "age of a rollout's current step in seconds",
    "dependency": "the unavailable dependency",
    "version": "version of a model",
    "versions": "models that served the request, with their versions",
}
"""Additional fields of log lines. A test checks that the code uses exactly these fields."""

AUDIT_FIELDS: Mapping[str, str] = {
    "at": "time of a release change",
    "digest": "digest of a registered archive",
    "new": "whether the archive is new in the store",
    "stable": "the stable version after the change",
    "uri": "URI of the stored archive",
    "weight_percent": "the canary's weight after the change",
    "what": "the change",
    "who": "author of the change: an operator or the rollout controller",
    "why": "reason given by the operator or the judge",
}
"""Additional fields of the audit log: the author and the content of a release change. Clients never appear in it."""

AUDIT = "thale.audit"
_METRIC_PREFIXES = ("dice_", "landmark_f1")  # quality metrics of a registered archive, by organ
_MAX_LENGTH = 1000
_PACKAGES = ("thale", "thale_models")
_SERVER_LOGGERS = ("uvicorn",)
"""Loggers with the configured level, besides thale's own. All others log warnings only: at `debug`, other packages
log request bodies and tokens."""


class JsonFormatter(logging.Formatter):
    """Formatter that returns each record as one line of JSON."""

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
    """Send all logs of this process to standard error as JSON lines. Call it once, at the entry point."""
    logging.basicConfig(level=logging.WARNING, handlers=[_handler(sys.stderr)], force=True)
    for name in (*_PACKAGES, *_SERVER_LOGGERS):
        logging.getLogger(name).setLevel(level.upper())


def configure_package_loggers() -> None:
    """Send thale's logs to standard output as JSON lines. Other loggers are unchanged.

    For model workers: TorchServe parses what its own code prints to standard output.
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
    """Return a text for a value that JSON cannot encode. Bytes may be a user's image, so only the length is logged."""
    return f"{len(value)} bytes" if isinstance(value, bytes | bytearray | memoryview) else str(value)[:_MAX_LENGTH]
