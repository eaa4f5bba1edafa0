"""What thale tells its operators: the METRICS table, and logs as one JSON object a line.

Every metric is declared here and nowhere else, so that dashboards and alerts can be tested against it.
"""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that the current task works on; every log line carries it."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60)

REQUESTS = Counter("thale_facade_requests", "Requests answered, by route template and status.", ["route", "status"])
REQUEST_SECONDS = Histogram("thale_facade_request_seconds", "From request to answer.", ["route"], buckets=_SECONDS)
IN_FLIGHT = Gauge("thale_facade_in_flight", "Images being measured or waiting for it.")
REFUSED = Counter(
    "thale_facade_refused", "Requests refused or failed on purpose, by the error's stable name.", ["code"]
)
BODY_BYTES = Counter("thale_facade_body_bytes", "Bytes of request bodies read.")
MODEL_REQUESTS = Counter(
    "thale_model_requests",
    "Questions asked of a model version, by outcome: ok, refused (the image is at fault), failed, unavailable, late.",
    ["model", "version", "outcome"],
)
MODEL_SECONDS = Histogram(
    "thale_model_seconds", "From question to answer of a model version.", ["model", "version"], buckets=_SECONDS
)
MODEL_RETRIES = Counter("thale_model_retries", "Questions asked a second time.", ["model", "version"])
MODEL_WORKERS = Gauge("thale_model_ready_workers", "Workers that are ready to answer.", ["model", "version"])
MEASURING_SECONDS = Histogram(
    "thale_measuring_seconds", "From the models' answers to plants, traits and the format asked for.", buckets=_SECONDS
)
MEASURING_RESTARTS = Counter("thale_measuring_restarts", "Times the measuring processes were started anew.")
PHENOTYPES = Counter("thale_phenotypes", "Images measured, by where their scale came from.", ["scale_source"])
PLANTS = Counter("thale_plants", "Plants found.")

METRICS = (
    REQUESTS,
    REQUEST_SECONDS,
    IN_FLIGHT,
    REFUSED,
    BODY_BYTES,
    MODEL_REQUESTS,
    MODEL_SECONDS,
    MODEL_RETRIES,
    MODEL_WORKERS,
    MEASURING_SECONDS,
    MEASURING_RESTARTS,
    PHENOTYPES,
    PLANTS,
)

WATCHER = CollectorRegistry()
"""What the watcher of rollouts tells: another process than the facade, with a port of its own."""

RELEASE_LEADER = Gauge("thale_release_leader", "1 while this watcher may act, 0 while another does.", registry=WATCHER)
RELEASE_LAST_POLL = Gauge(
    "thale_release_last_poll_timestamp_seconds", "When the watcher last looked at everything.", registry=WATCHER
)
RELEASE_FACADES_AWAY = Gauge("thale_release_facades_away", "Facades whose counters cannot be read.", registry=WATCHER)
RELEASE_WEIGHT = Gauge(
    "thale_release_weight_percent",
    "Share of the requests that a version answers.",
    ["model", "version"],
    registry=WATCHER,
)
RELEASE_VERDICTS = Counter(
    "thale_release_verdicts",
    "Looks at a canary, by verdict: promote, hold, roll back, inconclusive.",
    ["model", "version", "verdict"],
    registry=WATCHER,
)
RELEASE_CHANGES = Counter(
    "thale_release_changes",
    "Changes that the watcher made: step, promote, roll back.",
    ["model", "version", "what"],
    registry=WATCHER,
)
RELEASE_STEP_SECONDS = Gauge(
    "thale_release_step_seconds", "Since the canary's present step began.", ["model", "version"], registry=WATCHER
)
RELEASE_STUCK = Gauge(
    "thale_release_stuck",
    "1 where the present step has had no verdict for longer than the limit.",
    ["model", "version"],
    registry=WATCHER,
)

WATCHER_METRICS = (
    RELEASE_LEADER,
    RELEASE_LAST_POLL,
    RELEASE_FACADES_AWAY,
    RELEASE_WEIGHT,
    RELEASE_VERDICTS,
    RELEASE_CHANGES,
    RELEASE_STEP_SECONDS,
    RELEASE_STUCK,
)

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, the constant message, the request's id, and the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (request_id := REQUEST_ID.get()) is not None:
            line["request_id"] = request_id
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str = "info") -> None:
    """Send all logs of this process to standard error as JSON lines. Called once, by whoever starts the process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
