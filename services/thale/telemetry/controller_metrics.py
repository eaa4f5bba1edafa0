"""What the watcher of rollouts tells: another process than the facade, with a port of its own."""

from prometheus_client import CollectorRegistry

from thale.telemetry.labels import ACTION, COMMIT, MODEL, PACKAGE, PYTHON, SECRET, SIGNAL, VERDICT, VERSION
from thale.telemetry.metric_table import MetricTable

WATCHER = CollectorRegistry()
WATCHER_METRICS = MetricTable(WATCHER)

RELEASE_LEADER = WATCHER_METRICS.gauge(
    "thale_release_leader", "1 or 0", "1 while this watcher may act, 0 while another does."
)
RELEASE_LAST_POLL = WATCHER_METRICS.gauge(
    "thale_release_last_poll_timestamp_seconds", "seconds", "When the watcher last looked at everything."
)
RELEASE_FACADES_UNREACHABLE = WATCHER_METRICS.gauge(
    "thale_release_facades_unreachable", "facades", "Facades whose counters cannot be read."
)
RELEASE_WEIGHT = WATCHER_METRICS.gauge(
    "thale_release_weight_ratio", "ratio", "Share of the requests that a version answers.", MODEL, VERSION
)
RELEASE_VERDICTS = WATCHER_METRICS.counter(
    "thale_release_verdicts", "verdicts", "Looks at a canary.", MODEL, VERSION, VERDICT
)
RELEASE_CHANGES = WATCHER_METRICS.counter(
    "thale_release_changes", "changes", "Changes that the watcher made.", MODEL, VERSION, ACTION
)
RELEASE_STEP_SECONDS = WATCHER_METRICS.gauge(
    "thale_release_step_seconds", "seconds", "Since the canary's present step began.", MODEL, VERSION
)
RELEASE_STUCK = WATCHER_METRICS.gauge(
    "thale_release_stuck",
    "1 or 0",
    "1 where the present step has had no verdict for longer than the limit.",
    MODEL,
    VERSION,
)
DRIFT_PSI = WATCHER_METRICS.gauge(
    "thale_drift_psi",
    "PSI",
    "Population stability index of what a version says of recent plates, against its card's reference; less what "
    "chance gives in 99 of 100 cases. From 20 plates on.",
    MODEL,
    VERSION,
    SIGNAL,
)
DRIFT_KS = WATCHER_METRICS.gauge(
    "thale_drift_ks",
    "0 to 1",
    "Largest distance of the distribution functions of what a version says and of its card's reference; chance gives "
    "some of it.",
    MODEL,
    VERSION,
    SIGNAL,
)
DRIFT_PLATES = WATCHER_METRICS.gauge(
    "thale_drift_plates", "plates", "Recent plates on which the drift figures of a version rest.", MODEL, VERSION
)
SECRET_EXPIRY = WATCHER_METRICS.gauge(
    "thale_secret_expiry_timestamp_seconds", "seconds", "When a secret expires, seconds since 1970.", SECRET
)
WATCHER_BUILD_INFO = WATCHER_METRICS.gauge("thale_build_info", "always 1", "What runs here.", PACKAGE, PYTHON, COMMIT)
