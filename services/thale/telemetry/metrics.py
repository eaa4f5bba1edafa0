"""Metrics of the facade: requests, admission, models, and model outputs.

The processes of the worker pool export no metrics. The facade records their results.
"""

from prometheus_client import REGISTRY

from thale.telemetry.labels import (
    AUTHENTICATION_METHOD,
    AUTHENTICATION_OUTCOME,
    CACHE_OUTCOME,
    CODE,
    COMMIT,
    CREDENTIAL_SOURCE,
    CURRENCY,
    IDEMPOTENCY_OUTCOME,
    JOB_OUTCOME,
    LANDMARK,
    LIMIT,
    LIMIT_KIND,
    MODEL,
    MODEL_STAGE,
    ORGAN,
    ORGAN_CLASS,
    OUTCOME,
    PACKAGE,
    PYTHON,
    REASON,
    ROUTE,
    SHADOW_OUTCOME,
    SIZE,
    SOURCE,
    STAGE,
    STATUS,
    STORE_OUTCOME,
    TRAIT,
    UPLOAD_LIMIT_KIND,
    VERSION,
    WEBHOOK_OUTCOME,
)
from thale.telemetry.metric_table import MetricTable

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60)
"""Bucket bounds that include the latency objectives of `slo.toml`. The share of requests within an objective is
therefore exact, without interpolation."""
_STAGE_SECONDS = (0.001, 0.0025, *SECONDS)
_MEGAPIXELS = (0.25, 0.5, 1, 2, 4, 6, 8, 12, 16, 25, 50, 100)
_IMAGES = (1, 2, 4, 8, 16)
_PLANTS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 30, 40, 60)
_LANDMARKS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60, 80, 120, 200)
_AREAS_MM2 = (0, 1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1200, 2000, 4000)
TWENTIETHS = tuple(step / 20 for step in range(21))
DICE = (0.5, 0.6, 0.7, 0.75, 0.8, 0.825, 0.85, 0.875, *(step / 100 for step in range(90, 100)), 0.995, 1)
_DISTANCES_PX = (0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_DIFFERENCES = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2)

METRICS = MetricTable(REGISTRY)

REQUESTS = METRICS.counter("thale_facade_requests", "requests", "Responses sent, by route and status.", ROUTE, STATUS)
REQUEST_SECONDS = METRICS.histogram(
    "thale_facade_request_duration_seconds",
    "seconds",
    "Duration from request to response.",
    ROUTE,
    SIZE,
    buckets=SECONDS,
)
IN_FLIGHT = METRICS.gauge(
    "thale_facade_in_flight", "images", "Images whose body has arrived and that have no result, running or queued."
)
WAITING = METRICS.gauge("thale_facade_waiting", "images", "Images that wait for a processing slot.")
ADMISSION_LIMITS = METRICS.gauge("thale_facade_concurrency_limit", "images", "Admission limits by kind.", LIMIT_KIND)
UPLOADS = METRICS.gauge("thale_facade_uploads", "requests", "Request bodies that arrive.")
BUFFERED_BYTES = METRICS.gauge(
    "thale_facade_buffered_bytes", "bytes", "Memory reserved for all request bodies, arriving or in flight."
)
UPLOAD_LIMITS = METRICS.gauge(
    "thale_facade_upload_limit", "requests or bytes", "Limits of request bodies by kind.", UPLOAD_LIMIT_KIND
)
UPLOADS_ENDED = METRICS.counter(
    "thale_facade_uploads_ended", "requests", "Slow uploads that were ended for a new one at the limit."
)
REJECTED_CONNECTIONS = METRICS.counter(
    "thale_facade_rejected_connections",
    "connections",
    "Connections closed before their request reached the app, by status.",
    STATUS,
)
PROBLEMS = METRICS.counter("thale_facade_problems", "requests", "Responses with a problem, by its code.", CODE)
LIMITED = METRICS.counter(
    "thale_facade_limited", "requests", "Requests rejected with 429, by the limit of the caller.", LIMIT
)
IDEMPOTENT_REQUESTS = METRICS.counter(
    "thale_facade_idempotent_requests",
    "requests",
    "Requests with an idempotency key, by their outcome.",
    IDEMPOTENCY_OUTCOME,
)
LIMIT_STORE_CALLS = METRICS.counter(
    "thale_facade_limit_store_calls",
    "calls",
    "Calls of the shared limit store. After an error, and if skipped, limits apply in process.",
    STORE_OUTCOME,
)
LIMIT_STORE_BREAKER_OPEN = METRICS.gauge(
    "thale_facade_limit_store_breaker_open",
    "1 or 0",
    "1 if the circuit breaker of the shared limit store is open or half-open, else 0.",
)
AUTHENTICATIONS = METRICS.counter(
    "thale_facade_authentications",
    "requests",
    "Requests to routes that require a scope, by kind of credential and result.",
    AUTHENTICATION_METHOD,
    AUTHENTICATION_OUTCOME,
)
CREDENTIALS_READ = METRICS.gauge(
    "thale_facade_credentials_read_timestamp_seconds",
    "Unix time in seconds",
    "Last successful read of a source of credentials. The last known value is used while the source is unavailable.",
    CREDENTIAL_SOURCE,
)
PREDICTION_CACHE = METRICS.counter(
    "thale_facade_prediction_cache_requests",
    "requests",
    "Measurements of images of experiments, by whether the store had the measurement already.",
    CACHE_OUTCOME,
    starts_at_zero=True,
)
JOB_IMAGES = METRICS.counter(
    "thale_facade_job_images",
    "images",
    "Attempts to measure images of jobs, by outcome.",
    JOB_OUTCOME,
    starts_at_zero=True,
)
WEBHOOK_EVENTS = METRICS.counter(
    "thale_facade_webhook_events",
    "events",
    "Attempts to send events of jobs to the webhook, by outcome.",
    WEBHOOK_OUTCOME,
    starts_at_zero=True,
)
WEBHOOK_WAITING = METRICS.gauge(
    "thale_facade_webhook_events_waiting", "events", "Events of jobs that the webhook has not accepted yet."
)
BODY_BYTES = METRICS.counter("thale_facade_body_bytes", "bytes", "Bytes read from request bodies.")
IMAGE_MEGAPIXELS = METRICS.histogram(
    "thale_facade_image_megapixels", "megapixels", "Size of images according to their headers.", buckets=_MEGAPIXELS
)
STAGE_SECONDS = METRICS.histogram(
    "thale_facade_stage_duration_seconds",
    "seconds",
    "Duration of the stages of a request: reading the body, waiting for a processing slot, model requests, "
    "post-processing.",
    STAGE,
    buckets=_STAGE_SECONDS,
)

MODEL_REQUESTS = METRICS.counter(
    "thale_model_requests",
    "requests",
    "Requests to a model version for clients, without shadow requests.",
    MODEL,
    VERSION,
    OUTCOME,
)
MODEL_SECONDS = METRICS.histogram(
    "thale_model_request_duration_seconds",
    "seconds",
    "Duration of a request to a model version, queue included.",
    MODEL,
    VERSION,
    buckets=SECONDS,
)
MODEL_STAGE_SECONDS = METRICS.histogram(
    "thale_model_stage_duration_seconds",
    "seconds",
    "Worker time by stage; `queue` is the rest of the request's time.",
    MODEL,
    VERSION,
    MODEL_STAGE,
    buckets=_STAGE_SECONDS,
)
MODEL_BATCH_IMAGES = METRICS.histogram(
    "thale_model_batch_images", "images", "Images per batch of a worker.", MODEL, VERSION, buckets=_IMAGES
)
MODEL_RETRIES = METRICS.counter(
    "thale_model_retries", "requests", "Retried requests to a model version.", MODEL, VERSION
)
MODEL_WORKERS = METRICS.gauge(
    "thale_model_ready_workers", "workers", "Ready workers of a model version.", MODEL, VERSION
)
MODEL_FALLBACKS = METRICS.counter(
    "thale_model_fallbacks",
    "requests",
    "Fallbacks to the stable version after a canary's failure, by the canary's version.",
    MODEL,
    VERSION,
    REASON,
)
MODEL_BREAKER_OPEN = METRICS.gauge(
    "thale_model_breaker_open",
    "1 or 0",
    "1 if the circuit breaker of a version is open or half-open, else 0.",
    MODEL,
    VERSION,
)
WORKER_POOL_RESTARTS = METRICS.counter(
    "thale_facade_worker_pool_restarts", "restarts", "Worker processes that died, or were killed after their deadline."
)

OUTPUT_PLATES = METRICS.counter(
    "thale_output_plates", "plates", "Plates measured for clients from this version's predictions.", MODEL, VERSION
)
OUTPUT_PLANTS = METRICS.histogram(
    "thale_output_plants", "plants", "Plants detected on a plate.", MODEL, VERSION, buckets=_PLANTS
)
OUTPUT_AREA = METRICS.histogram(
    "thale_output_area_mm2",
    "mm2",
    "Projected area of a plate's roots, shoots or seeds, if the scale is known.",
    MODEL,
    VERSION,
    ORGAN,
    buckets=_AREAS_MM2,
)
OUTPUT_CONFIDENCE = METRICS.histogram(
    "thale_output_confidence",
    "0 to 1",
    "Mean confidence of a plate's organs of one kind, if there are any.",
    MODEL,
    VERSION,
    ORGAN,
    buckets=TWENTIETHS,
)
OUTPUT_LANDMARKS = METRICS.histogram(
    "thale_output_landmarks",
    "landmarks",
    "Landmarks of one kind on a plate.",
    MODEL,
    VERSION,
    LANDMARK,
    buckets=_LANDMARKS,
)
OUTPUT_SCORE = METRICS.histogram(
    "thale_output_score",
    "0 to 1",
    "Mean score of a plate's landmarks, if there are any.",
    MODEL,
    VERSION,
    buckets=TWENTIETHS,
)
OUTPUT_EMPTY = METRICS.counter("thale_output_empty", "plates", "Plates without a plant.", MODEL, VERSION)
OUTPUT_NAN = METRICS.counter(
    "thale_output_nan",
    "plates",
    "Plates with a known scale and a germinated plant whose main trait is NaN.",
    MODEL,
    VERSION,
)
OUTPUT_SCALE_SOURCE = METRICS.counter(
    "thale_output_scale_source", "plates", "Plates by the source of their scale.", MODEL, VERSION, SOURCE
)

SHADOW_REQUESTS = METRICS.counter(
    "thale_shadow_requests", "requests", "Requests mirrored to a shadow version.", MODEL, VERSION, SHADOW_OUTCOME
)
SHADOW_DICE = METRICS.histogram(
    "thale_shadow_dice",
    "0 to 1",
    "Dice coefficient between the masks of shadow and stable on one plate, by organ.",
    MODEL,
    VERSION,
    ORGAN_CLASS,
    buckets=DICE,
)
SHADOW_LANDMARK_PX = METRICS.histogram(
    "thale_shadow_landmark_px",
    "px",
    "Distance of a landmark of the shadow from the matched landmark of stable, in source pixels.",
    MODEL,
    VERSION,
    LANDMARK,
    buckets=_DISTANCES_PX,
)
SHADOW_LANDMARK_F1 = METRICS.histogram(
    "thale_shadow_landmark_f1",
    "0 to 1",
    "F1 score of the shadow's landmarks against those of stable on one plate.",
    MODEL,
    VERSION,
    buckets=TWENTIETHS,
)
SHADOW_TRAIT_DIFFERENCE = METRICS.histogram(
    "thale_shadow_trait_difference",
    "ratio",
    "Relative difference of a trait on one plate, |shadow - stable| / |stable|.",
    MODEL,
    VERSION,
    TRAIT,
    buckets=_DIFFERENCES,
)

COST_PER_HOUR = METRICS.gauge(
    "thale_cost_per_hour",
    "currency units per hour",
    "Cost per hour of this facade and its share of the model servers, if THALE_COST_PER_HOUR is set.",
    CURRENCY,
)
BUILD_INFO = METRICS.gauge(
    "thale_build_info", "always 1", "Versions of thale and Python, and the commit.", PACKAGE, PYTHON, COMMIT
)
