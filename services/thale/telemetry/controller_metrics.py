"""Metrics of the rollout controller. It is a process of its own, with its own metrics port."""

from prometheus_client import CollectorRegistry

from thale.telemetry.labels import ACTION, COMMIT, MODEL, PACKAGE, PYTHON, SECRET, SIGNAL, VERDICT, VERSION
from thale.telemetry.metric_table import MetricTable

CONTROLLER_REGISTRY = CollectorRegistry()
CONTROLLER_METRICS = MetricTable(CONTROLLER_REGISTRY)

RELEASE_LEADER = CONTROLLER_METRICS.gauge(
    "thale_release_leader", "1 or 0", "1 if this controller is the leader, else 0."
)
RELEASE_LAST_POLL = CONTROLLER_METRICS.gauge(
    "thale_release_last_poll_timestamp_seconds", "seconds", "Unix time of the controller's last complete poll."
)
RELEASE_FACADES_UNREACHABLE = CONTROLLER_METRICS.gauge(
    "thale_release_facades_unreachable", "facades", "Facades whose metrics the controller cannot scrape."
)
RELEASE_WEIGHT = CONTROLLER_METRICS.gauge(
    "thale_release_weight_ratio", "ratio", "Share of a model's requests that this version receives.", MODEL, VERSION
)
RELEASE_VERDICTS = CONTROLLER_METRICS.counter(
    "thale_release_verdicts", "verdicts", "Verdicts of the judge on a canary.", MODEL, VERSION, VERDICT
)
RELEASE_CHANGES = CONTROLLER_METRICS.counter(
    "thale_release_changes", "changes", "Release changes made by the controller.", MODEL, VERSION, ACTION
)
RELEASE_STEP_SECONDS = CONTROLLER_METRICS.gauge(
    "thale_release_step_seconds", "seconds", "Age of the canary's current step.", MODEL, VERSION
)
RELEASE_STUCK = CONTROLLER_METRICS.gauge(
    "thale_release_stuck",
    "1 or 0",
    "1 if the current step is older than THALE_STUCK_S and its verdict is hold or inconclusive, else 0.",
    MODEL,
    VERSION,
)
RELEASE_COPY_PENDING = CONTROLLER_METRICS.gauge(
    "thale_release_copy_pending_seconds",
    "seconds",
    "Age of the oldest change of a release that is not in THALE_RELEASE_COPIES yet; 0 if all are.",
)
DRIFT_PSI = CONTROLLER_METRICS.gauge(
    "thale_drift_psi",
    "PSI",
    "Population stability index (PSI) of a version's outputs on recent plates against its card's reference, minus the "
    "99 % quantile expected by chance. Exported after 20 plates.",
    MODEL,
    VERSION,
    SIGNAL,
)
DRIFT_KS = CONTROLLER_METRICS.gauge(
    "thale_drift_ks",
    "0 to 1",
    "Kolmogorov-Smirnov distance of a version's outputs on recent plates from its card's reference. It includes the "
    "distance expected by chance.",
    MODEL,
    VERSION,
    SIGNAL,
)
DRIFT_PLATES = CONTROLLER_METRICS.gauge(
    "thale_drift_plates", "plates", "Recent plates from which the drift of a version is computed.", MODEL, VERSION
)
SECRET_EXPIRY = CONTROLLER_METRICS.gauge(
    "thale_secret_expiry_timestamp_seconds", "seconds", "Unix time at which a secret expires.", SECRET
)
SECRET_WITHOUT_EXPIRY = CONTROLLER_METRICS.gauge(
    "thale_secret_without_expiry", "always 1", "A secret without an expiry date.", SECRET
)
CONTROLLER_BUILD_INFO = CONTROLLER_METRICS.gauge(
    "thale_build_info", "always 1", "Versions of thale and Python, and the commit.", PACKAGE, PYTHON, COMMIT
)
