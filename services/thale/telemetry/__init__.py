"""What thale tells its operators: the tables of metrics, logs as one JSON object a line, and traces.

Every metric is declared in `metrics` (the facade's) or `watcher` and nowhere else, so that dashboards and alerts can
be tested against the tables; those of other programs that rules and dashboards read stand in `foreign`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from thale.telemetry.foreign import FOREIGN, Foreign
from thale.telemetry.logs import REQUEST_ID, JsonFormatter, configure

if TYPE_CHECKING:
    from thale.telemetry.labels import MEGAPIXELS_OF_SIZE, size_class
    from thale.telemetry.metrics import *  # noqa: F403 (the table is all that the module holds)
    from thale.telemetry.watcher import *  # noqa: F403
else:

    def __getattr__(name: str) -> object:
        """Return a metric, and find it at once from then on. Workers log and trace, and wait for no import of these."""
        for module in ("metrics", "watcher", "labels") if name.isupper() or name == "size_class" else ():
            if hasattr(told := import_module(f"thale.telemetry.{module}"), name):
                globals()[name] = getattr(told, name)
                return globals()[name]
        raise AttributeError(name)


__all__ = ["FOREIGN", "MEGAPIXELS_OF_SIZE", "REQUEST_ID", "Foreign", "JsonFormatter", "configure", "size_class"]
