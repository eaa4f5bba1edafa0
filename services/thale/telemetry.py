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

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60)
_PLANTS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 30, 40, 60)
_LANDMARKS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60, 80, 120, 200)
_AREAS_MM2 = (0, 1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1200, 2000, 4000)
TWENTIETHS = tuple(step / 20 for step in range(21))
DICE = (0.5, 0.6, 0.7, 0.75, 0.8, 0.825, 0.85, 0.875, *(step / 100 for step in range(90, 100)), 0.995, 1)
_DISTANCES_PX = (0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_DIFFERENCES = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2)

REQUESTS = Counter("thale_facade_requests", "Requests answered, by route template and status.", ["route", "status"])
REQUEST_SECONDS = Histogram("thale_facade_request_seconds", "From request to answer.", ["route"], buckets=SECONDS)
IN_FLIGHT = Gauge("thale_facade_in_flight", "Images being measured or waiting for it.")
REFUSED = Counter(
    "thale_facade_refused", "Requests refused or failed on purpose, by the error's stable name.", ["code"]
)
BODY_BYTES = Counter("thale_facade_body_bytes", "Bytes of request bodies read.")
MODEL_REQUESTS = Counter(
    "thale_model_requests",
    "Questions asked of a model version for a user, by outcome: ok, refused (the image is at fault), failed, "
    "unavailable, late, nonsense.",
    ["model", "version", "outcome"],
)
MODEL_SECONDS = Histogram(
    "thale_model_seconds", "From question to answer of a model version.", ["model", "version"], buckets=SECONDS
)
MODEL_RETRIES = Counter("thale_model_retries", "Questions asked a second time.", ["model", "version"])
MODEL_WORKERS = Gauge("thale_model_ready_workers", "Workers that are ready to answer.", ["model", "version"])
MODEL_FALLBACKS = Counter(
    "thale_model_fallbacks",
    "Questions that the stable version answered in a canary's place, by reason: failed, unavailable, late, nonsense, "
    "open (its breaker is open: it was not asked).",
    ["model", "version", "reason"],
)
MODEL_BREAKER_OPEN = Gauge(
    "thale_model_breaker_open", "1 where a version is asked nothing but single probes, else 0.", ["model", "version"]
)
MEASURING_SECONDS = Histogram(
    "thale_measuring_seconds", "From the models' answers to plants, traits and the format asked for.", buckets=SECONDS
)
MEASURING_RESTARTS = Counter("thale_measuring_restarts", "Times the measuring processes were started anew.")
OUTPUT_PLATES = Counter(
    "thale_output_plates", "Plates measured for a user with the answer of this version.", ["model", "version"]
)
OUTPUT_PLANTS = Histogram("thale_output_plants", "Plants found on a plate.", ["model", "version"], buckets=_PLANTS)
OUTPUT_AREA = Histogram(
    "thale_output_area_mm2",
    "Projected area of a plate's roots, shoots, seeds, where the scale is known.",
    ["model", "version", "organ"],
    buckets=_AREAS_MM2,
)
OUTPUT_CONFIDENCE = Histogram(
    "thale_output_confidence",
    "Mean confidence of a plate's organs of a kind, where there are any.",
    ["model", "version", "organ"],
    buckets=TWENTIETHS,
)
OUTPUT_LANDMARKS = Histogram(
    "thale_output_landmarks", "Landmarks of a kind on a plate.", ["model", "version", "kind"], buckets=_LANDMARKS
)
OUTPUT_SCORE = Histogram(
    "thale_output_score",
    "Mean score of a plate's landmarks, where there are any.",
    ["model", "version"],
    buckets=TWENTIETHS,
)
OUTPUT_EMPTY = Counter("thale_output_empty", "Plates without a plant.", ["model", "version"])
OUTPUT_NAN = Counter(
    "thale_output_nan",
    "Plates of known scale with a germinated plant of which a main trait is unknown.",
    ["model", "version"],
)
OUTPUT_SCALE_SOURCE = Counter(
    "thale_output_scale_source",
    "Plates by where their scale came from: given, plate_edge, none.",
    ["model", "version", "source"],
)

SHADOW_REQUESTS = Counter(
    "thale_shadow_requests",
    "Copies of requests for a shadow version, by outcome: ok, failed, unavailable, late, nonsense, dropped.",
    ["model", "version", "outcome"],
)
SHADOW_DICE = Histogram(
    "thale_shadow_dice",
    "Dice coefficient of an organ's pixels, shadow against stable, on one plate.",
    ["model", "version", "organ"],
    buckets=DICE,
)
SHADOW_LANDMARK_PX = Histogram(
    "thale_shadow_landmark_px",
    "Distance of a landmark of the shadow to its match of the stable version, in source pixels.",
    ["model", "version", "kind"],
    buckets=_DISTANCES_PX,
)
SHADOW_LANDMARK_F1 = Histogram(
    "thale_shadow_landmark_f1",
    "F1 score of the shadow's landmarks against the stable version's, on one plate.",
    ["model", "version"],
    buckets=TWENTIETHS,
)
SHADOW_TRAIT_DIFFERENCE = Histogram(
    "thale_shadow_trait_difference",
    "Relative difference of a plate's trait, |shadow - stable| / |stable|.",
    ["model", "version", "trait"],
    buckets=_DIFFERENCES,
)

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
    MODEL_FALLBACKS,
    MODEL_BREAKER_OPEN,
    MEASURING_SECONDS,
    MEASURING_RESTARTS,
    OUTPUT_PLATES,
    OUTPUT_PLANTS,
    OUTPUT_AREA,
    OUTPUT_CONFIDENCE,
    OUTPUT_LANDMARKS,
    OUTPUT_SCORE,
    OUTPUT_EMPTY,
    OUTPUT_NAN,
    OUTPUT_SCALE_SOURCE,
    SHADOW_REQUESTS,
    SHADOW_DICE,
    SHADOW_LANDMARK_PX,
    SHADOW_LANDMARK_F1,
    SHADOW_TRAIT_DIFFERENCE,
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
