"""Series of versions that are long gone are taken down, so that a process that lives for years keeps to its bounds."""

from collections.abc import Iterable, Mapping

from thale.telemetry.labels import MODEL, VERSION
from thale.telemetry.metric_table import MetricTable


class SeriesExpirer:
    """The model versions that a process tells about: those that are held, and the last ones before, as many as may be.

    What is held is told about in any case. A version that comes back after it was forgotten counts from nothing, as
    after a restart of the process.
    """

    def __init__(self, table: MetricTable) -> None:
        self._metrics = [metric.collector for metric in table if {MODEL, VERSION} <= {*metric.labels}]
        self._versions: dict[str, list[str]] = {}
        """By model, the models and the versions of each in the order in which they were last held."""

    def update(self, loaded_versions: Mapping[str, Iterable[str]]) -> None:
        """Take note of what is held now, and forget what there is no room for."""
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
