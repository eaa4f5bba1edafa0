"""Series of versions that are long gone are taken down, so that a process that lives for years keeps to its bounds."""

from collections.abc import Iterable, Mapping

from thale.telemetry.labels import MODEL, VERSION
from thale.telemetry.metric_table import Table


class Remembered:
    """The model versions that a process tells about: those that are held, and the last ones before, as many as may be.

    What is held is told about in any case. A version that comes back after it was forgotten counts from nothing, as
    after a restart of the process.
    """

    def __init__(self, table: Table) -> None:
        self._metrics = [metric.collector for metric in table if {MODEL, VERSION} <= {*metric.labels}]
        self._versions: dict[str, list[str]] = {}
        """By model, the models and the versions of each in the order in which they were last held."""

    def follow(self, held: Mapping[str, Iterable[str]]) -> None:
        """Take note of what is held now, and forget what there is no room for."""
        for model, versions in held.items():
            now = sorted(versions)
            before = [version for version in self._versions.pop(model, []) if version not in now]
            room = max(VERSION.most - len(now), 0)
            self._forget(model, before[: len(before) - room] if room < len(before) else [])
            self._versions[model] = [*before[-room:], *now] if room else now
        for model in [*self._versions][: max(len(self._versions) - max(MODEL.most, len(held)), 0)]:
            self._forget(model, self._versions.pop(model))

    def _forget(self, model: str, versions: Iterable[str]) -> None:
        for version in versions:
            for metric in self._metrics:
                metric.remove_by_labels({"model": model, "version": version})
