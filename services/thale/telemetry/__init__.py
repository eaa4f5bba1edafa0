"""What thale tells its operators: the tables of metrics, logs as one JSON object a line, and traces.

Every metric is declared in `metrics` (the facade's) or `watcher` and nowhere else, so that dashboards and alerts can
be tested against the tables; those of other programs that rules and dashboards read stand in `foreign`.
"""

from thale.telemetry.foreign import FOREIGN, Foreign
from thale.telemetry.labels import MEGAPIXELS_OF_SIZE, size_class
from thale.telemetry.logs import REQUEST_ID, JsonFormatter, configure
from thale.telemetry.metrics import *  # noqa: F403 (the table is all that the module holds)
from thale.telemetry.watcher import *  # noqa: F403

__all__ = ["FOREIGN", "MEGAPIXELS_OF_SIZE", "REQUEST_ID", "Foreign", "JsonFormatter", "configure", "size_class"]
