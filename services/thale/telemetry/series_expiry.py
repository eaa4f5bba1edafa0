"""Removal of series of versions that are no longer released. It keeps the series of long-lived processes bounded."""

from collections.abc import Iterable, Mapping

from thale.telemetry.labels import MODEL, VERSION
from thale.telemetry.metric_table import MetricTable


class SeriesExpirer:
    """Removes the series of old model versions, up to the bounds of the labels `model` and `version`.

    Series of loaded versions are never removed. The most recent former versions remain as far as the bounds allow. The
    counters of a version that returns after its removal start at zero, as after a restart of the process.
    """

    def __init__(self, table: MetricTable) -> None:
        self._metrics = [metric.collector for metric in table if {MODEL, VERSION} <= {*metric.labels}]
        self._versions: dict[str, list[str]] = {}
        """Versions by model. Models and versions are in the order in which they were last loaded."""

    def update(self, loaded_versions: Mapping[str, Iterable[str]]) -> None:
        """Record the loaded versions, and remove series that exceed the bounds."""
        for model, versions in loaded_versions.items():
            current = sorted(versions)
            previous = [version for version in self._versions.pop(model, []) if version not in current]
            spare = max(VERSION.max_values - len(current), 0)
            self._remove_series(model, previous[: len(previous) - spare] if spare < len(previous) else [])
            self._versions[model] = [*previous[-spare:], *current] if spare else current
        for model in [*self._versions][: max(len(self._versions) - max(MODEL.max_values, len(loaded_versions)), 0)]:
            self._remove_series(model, self._versions.pop(model))

    def _remove_series(self, model: str, versions: Iterable[str]) -> None:
        for version in versions:
            for metric in self._metrics:
                metric.remove_by_labels({"model": model, "version": version})
