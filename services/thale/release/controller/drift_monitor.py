"""Drift of the outputs of each version on recent plates, against the reference distributions of its card.

A version does not change. A change of its outputs means that the images have changed: another camera, another medium,
another species. The gauges use the last plates, regardless of their age, and export the number of these plates. They
cover every loaded version with traffic, with or without a rollout, and do not affect verdicts.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

from thale.monitoring import drift
from thale.monitoring.drift import Drift
from thale.release.judge.checks import REFERENCE_PLATES_METRIC, output_references
from thale.release.judge.version_metrics import CounterIncrease, VersionMetrics
from thale.schemas import ModelCard, Release
from thale.telemetry import controller_metrics

MIN_PLATES = 20
"""Minimum number of plates for a distribution."""
_BLOCK_PLATES, _MAX_BLOCKS = 100, 10


class RollingWindow:
    """Metrics of the last 900 to 1,000 plates of one version, in blocks. The oldest block is dropped."""

    def __init__(self) -> None:
        self._blocks = [VersionMetrics()]

    def add(self, metrics: VersionMetrics) -> None:
        """Add the metrics of the latest counter increase."""
        if self._blocks[-1].plates >= _BLOCK_PLATES:
            self._blocks = [*self._blocks[1 - _MAX_BLOCKS :], VersionMetrics()]
        self._blocks[-1] = self._blocks[-1].merge(metrics)

    def total(self) -> VersionMetrics:
        """Return the sum of all blocks."""
        merged = self._blocks[0]
        for block in self._blocks[1:]:
            merged = merged.merge(block)
        return merged


class DriftMonitor:
    """Exports the drift of all versions with traffic as gauges of the controller.

    Args:
        cluster_size: Number of correlated plates of a series that count as one.
    """

    def __init__(self, cluster_size: float) -> None:
        self._cluster_size = cluster_size
        self._windows: dict[tuple[str, str], RollingWindow] = {}

    def update(self, release: Release, increase: CounterIncrease) -> None:
        """Add the counter increases of a model's versions, and update their gauges."""
        model = release.name
        for version, released in release.versions.items():
            metrics = increase.get((model, version))
            if metrics is None or not metrics.plates:
                continue
            window = self._windows.setdefault((model, version), RollingWindow())
            window.add(metrics)
            self._set_gauges(model, version, released.card, window.total())
        for stale in [key for key in self._windows if key[0] == model and key[1] not in release.versions]:
            self._remove_series(*stale)

    def remove(self, model: str) -> None:
        """Remove the windows and gauges of a model."""
        for key in [key for key in self._windows if key[0] == model]:
            self._remove_series(*key)

    def clear(self) -> None:
        """Remove all windows and gauges, because another controller exports them now."""
        for key in [*self._windows]:
            self._remove_series(*key)

    def _set_gauges(self, model: str, version: str, card: ModelCard, metrics: VersionMetrics) -> None:
        controller_metrics.DRIFT_PLATES.labels(model, version).set(metrics.plates)
        if metrics.plates < MIN_PLATES:
            return
        for signal, result in drift_by_signal(card, metrics, self._cluster_size):
            controller_metrics.DRIFT_PSI.labels(model, version, signal).set(result.psi_lower_bound)
            controller_metrics.DRIFT_KS.labels(model, version, signal).set(result.ks)

    def _remove_series(self, model: str, version: str) -> None:
        del self._windows[model, version]
        for gauge in (controller_metrics.DRIFT_PLATES, controller_metrics.DRIFT_PSI, controller_metrics.DRIFT_KS):
            gauge.remove_by_labels({"model": model, "version": version})


def drift_by_signal(card: ModelCard, metrics: VersionMetrics, cluster_size: float) -> Iterator[tuple[str, Drift]]:
    """Yield the drift of each signal that has both observations and a reference in the card.

    Yields nothing for a card without the number of its reference plates. Skips references whose quantiles are not
    finite or not increasing.
    """
    reference_plates = card.metrics.get(REFERENCE_PLATES_METRIC, math.nan)
    if not (math.isfinite(reference_plates) and reference_plates >= 1):
        return
    for signal in output_references(card):
        quantiles, histogram = card.references[signal], metrics.histograms.get(signal)
        if histogram is None or not histogram.total or not _is_valid_reference(quantiles):
            continue
        yield signal, drift.compare_to_reference(histogram, quantiles, round(reference_plates), cluster_size)


def _is_valid_reference(values: tuple[float, ...]) -> bool:
    return (
        len(values) > 1
        and all(math.isfinite(value) for value in values)
        and all(low <= high for low, high in pairwise(values))
    )
