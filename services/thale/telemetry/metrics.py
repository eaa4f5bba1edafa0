"""What a facade tells: requests, places, models, and what the models say of plates.

The processes that only measure or ask tell nothing: whatever they do is counted by the facade that waits for it.
"""

from prometheus_client import REGISTRY

from thale.telemetry.labels import (
    CODE,
    COMMIT,
    CURRENCY,
    LANDMARK,
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
    TRAIT,
    VERSION,
)
from thale.telemetry.metric_table import MetricTable

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60)
"""Holds the limits of `slo.toml`, so that a share within a limit is read off the counts, not guessed between them."""
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

REQUESTS = METRICS.counter("thale_facade_requests", "requests", "Requests answered.", ROUTE, STATUS)
REQUEST_SECONDS = METRICS.histogram(
    "thale_facade_request_duration_seconds", "seconds", "From request to answer.", ROUTE, SIZE, buckets=SECONDS
)
IN_FLIGHT = METRICS.gauge("thale_facade_in_flight", "requests", "Requests that were let in, at work or waiting.")
WAITING = METRICS.gauge("thale_facade_waiting", "images", "Images that wait for a place at work.")
ADMISSION_LIMITS = METRICS.gauge(
    "thale_facade_concurrency_limit", "requests", "How many may be in at once, by what for.", LIMIT_KIND
)
PROBLEMS = METRICS.counter("thale_facade_problems", "requests", "Requests refused or failed on purpose.", CODE)
BODY_BYTES = METRICS.counter("thale_facade_body_bytes", "bytes", "Bytes of request bodies read.")
IMAGE_MEGAPIXELS = METRICS.histogram(
    "thale_facade_image_megapixels", "megapixels", "Size of images, as their headers say.", buckets=_MEGAPIXELS
)
STAGE_SECONDS = METRICS.histogram(
    "thale_facade_stage_duration_seconds",
    "seconds",
    "Parts of a request: the body read, a place waited for, the models asked, plants and traits measured and written.",
    STAGE,
    buckets=_STAGE_SECONDS,
)

MODEL_REQUESTS = METRICS.counter(
    "thale_model_requests", "requests", "Questions asked of a model version for a user.", MODEL, VERSION, OUTCOME
)
MODEL_SECONDS = METRICS.histogram(
    "thale_model_request_duration_seconds",
    "seconds",
    "From question to answer of a model version.",
    MODEL,
    VERSION,
    buckets=SECONDS,
)
MODEL_STAGE_SECONDS = METRICS.histogram(
    "thale_model_stage_duration_seconds",
    "seconds",
    "Parts of an answer, as the worker tells them; what it did not work on, the question waited for.",
    MODEL,
    VERSION,
    MODEL_STAGE,
    buckets=_STAGE_SECONDS,
)
MODEL_BATCH_IMAGES = METRICS.histogram(
    "thale_model_batch_images", "images", "Images that a worker answered at once.", MODEL, VERSION, buckets=_IMAGES
)
MODEL_RETRIES = METRICS.counter("thale_model_retries", "requests", "Questions asked a second time.", MODEL, VERSION)
MODEL_WORKERS = METRICS.gauge(
    "thale_model_ready_workers", "workers", "Workers that are ready to answer.", MODEL, VERSION
)
MODEL_FALLBACKS = METRICS.counter(
    "thale_model_fallbacks",
    "requests",
    "Questions that the stable version answered in a canary's place.",
    MODEL,
    VERSION,
    REASON,
)
MODEL_BREAKER_OPEN = METRICS.gauge(
    "thale_model_breaker_open",
    "1 or 0",
    "1 where a version is asked nothing but single probes, else 0.",
    MODEL,
    VERSION,
)
WORKER_POOL_RESTARTS = METRICS.counter(
    "thale_facade_worker_pool_restarts", "restarts", "Times the measuring processes were started anew."
)

OUTPUT_PLATES = METRICS.counter(
    "thale_output_plates", "plates", "Plates measured for a user with the answer of this version.", MODEL, VERSION
)
OUTPUT_PLANTS = METRICS.histogram(
    "thale_output_plants", "plants", "Plants found on a plate.", MODEL, VERSION, buckets=_PLANTS
)
OUTPUT_AREA = METRICS.histogram(
    "thale_output_area_mm2",
    "mm2",
    "Projected area of a plate's roots, shoots, seeds, where the scale is known.",
    MODEL,
    VERSION,
    ORGAN,
    buckets=_AREAS_MM2,
)
OUTPUT_CONFIDENCE = METRICS.histogram(
    "thale_output_confidence",
    "0 to 1",
    "Mean confidence of a plate's organs of a kind, where there are any.",
    MODEL,
    VERSION,
    ORGAN,
    buckets=TWENTIETHS,
)
OUTPUT_LANDMARKS = METRICS.histogram(
    "thale_output_landmarks",
    "landmarks",
    "Landmarks of a kind on a plate.",
    MODEL,
    VERSION,
    LANDMARK,
    buckets=_LANDMARKS,
)
OUTPUT_SCORE = METRICS.histogram(
    "thale_output_score",
    "0 to 1",
    "Mean score of a plate's landmarks, where there are any.",
    MODEL,
    VERSION,
    buckets=TWENTIETHS,
)
OUTPUT_EMPTY = METRICS.counter("thale_output_empty", "plates", "Plates without a plant.", MODEL, VERSION)
OUTPUT_NAN = METRICS.counter(
    "thale_output_nan",
    "plates",
    "Plates of known scale with a germinated plant of which a main trait is unknown.",
    MODEL,
    VERSION,
)
OUTPUT_SCALE_SOURCE = METRICS.counter(
    "thale_output_scale_source", "plates", "Plates by where their scale came from.", MODEL, VERSION, SOURCE
)

SHADOW_REQUESTS = METRICS.counter(
    "thale_shadow_requests", "requests", "Copies of requests for a shadow version.", MODEL, VERSION, SHADOW_OUTCOME
)
SHADOW_DICE = METRICS.histogram(
    "thale_shadow_dice",
    "0 to 1",
    "Dice coefficient of an organ's pixels, shadow against stable, on one plate.",
    MODEL,
    VERSION,
    ORGAN_CLASS,
    buckets=DICE,
)
SHADOW_LANDMARK_PX = METRICS.histogram(
    "thale_shadow_landmark_px",
    "px",
    "Distance of a landmark of the shadow to its match of the stable version, in source pixels.",
    MODEL,
    VERSION,
    LANDMARK,
    buckets=_DISTANCES_PX,
)
SHADOW_LANDMARK_F1 = METRICS.histogram(
    "thale_shadow_landmark_f1",
    "0 to 1",
    "F1 score of the shadow's landmarks against the stable version's, on one plate.",
    MODEL,
    VERSION,
    buckets=TWENTIETHS,
)
SHADOW_TRAIT_DIFFERENCE = METRICS.histogram(
    "thale_shadow_trait_difference",
    "ratio",
    "Relative difference of a plate's trait, |shadow - stable| / |stable|.",
    MODEL,
    VERSION,
    TRAIT,
    buckets=_DIFFERENCES,
)

COST_PER_HOUR = METRICS.gauge(
    "thale_cost_per_hour",
    "currency units an hour",
    "What this facade and its share of the model servers cost an hour, where somebody said so.",
    CURRENCY,
)
BUILD_INFO = METRICS.gauge("thale_build_info", "always 1", "What runs here.", PACKAGE, PYTHON, COMMIT)
