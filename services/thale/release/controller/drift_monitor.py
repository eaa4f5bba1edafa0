"""What versions say of recent plates, beside what their cards say they said when they were measured.

A version does not change, so where its answers do, the images have: another camera, another medium, another species.
The figures rest on the last plates, however long ago they came; how many those are is told with them. They are told for
every version that answers, on trial or not, and judge nobody.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

from thale.monitoring import drift
from thale.monitoring.drift import Drift
from thale.release.judge.checks import said
from thale.release.judge.version_metrics import Increment, VersionSignals
from thale.schemas import Card, Release
from thale.telemetry import controller_metrics

LEAST_PLATES = 20
"""Fewer say nothing of a distribution."""
_BLOCK, _BLOCKS = 100, 10
_MEASURED_PLATES = "plates_plates"


class Recent:
    """The last 900 to 1,000 plates of one version, in blocks of which the oldest goes."""

    def __init__(self) -> None:
        self._blocks = [VersionSignals()]

    def heard(self, signals: VersionSignals) -> None:
        """Add what was heard since the last time."""
        if self._blocks[-1].plates >= _BLOCK:
            self._blocks = [*self._blocks[1 - _BLOCKS :], VersionSignals()]
        self._blocks[-1] = self._blocks[-1].then(signals)

    def together(self) -> VersionSignals:
        """Return all of them as one."""
        whole = self._blocks[0]
        for block in self._blocks[1:]:
            whole = whole.then(block)
        return whole


class Drifts:
    """The drift of all versions that are heard of, on the watcher's gauges.

    Args:
        together: So many plates count as one, because those of a series resemble each other.
    """

    def __init__(self, together: float) -> None:
        self._together = together
        self._recent: dict[tuple[str, str], Recent] = {}

    def heard(self, release: Release, increment: Increment) -> None:
        """Take in what was heard of a model's versions, and tell how far they have drifted."""
        model = release.name
        for version, released in release.versions.items():
            signals = increment.get((model, version))
            if signals is None or not signals.plates:
                continue
            recent = self._recent.setdefault((model, version), Recent())
            recent.heard(signals)
            self._show(model, version, released.card, recent.together())
        for gone in [key for key in self._recent if key[0] == model and key[1] not in release.versions]:
            self._take_down(*gone)

    def remove(self, model: str) -> None:
        """Forget a model."""
        for key in [key for key in self._recent if key[0] == model]:
            self._take_down(*key)

    def clear(self) -> None:
        """Forget everything: another watcher's figures hold now."""
        for key in [*self._recent]:
            self._take_down(*key)

    def _show(self, model: str, version: str, card: Card, recent: VersionSignals) -> None:
        controller_metrics.DRIFT_PLATES.labels(model, version).set(recent.plates)
        if recent.plates < LEAST_PLATES:
            return
        for signal, found in drifts(card, recent, self._together):
            controller_metrics.DRIFT_PSI.labels(model, version, signal).set(found.certain_psi)
            controller_metrics.DRIFT_KS.labels(model, version, signal).set(found.ks)

    def _take_down(self, model: str, version: str) -> None:
        del self._recent[model, version]
        for gauge in (controller_metrics.DRIFT_PLATES, controller_metrics.DRIFT_PSI, controller_metrics.DRIFT_KS):
            gauge.remove_by_labels({"model": model, "version": version})


def drifts(card: Card, recent: VersionSignals, together: float) -> Iterator[tuple[str, Drift]]:
    """Yield how far each signal is from the card's reference, for those that both know.

    A card that does not say on how many plates it was measured says nothing that could be compared, and neither does a
    reference whose quantiles are no numbers or do not grow.
    """
    measured = card.metrics.get(_MEASURED_PLATES, math.nan)
    if not (math.isfinite(measured) and measured >= 1):
        return
    for signal in said(card):
        quantiles, heard = card.references[signal], recent.histograms.get(signal)
        if heard is None or not heard.total or not _are_quantiles(quantiles):
            continue
        yield signal, drift.against_quantiles(heard, quantiles, round(measured), together)


def _are_quantiles(values: tuple[float, ...]) -> bool:
    return (
        len(values) > 1
        and all(math.isfinite(value) for value in values)
        and all(low <= high for low, high in pairwise(values))
    )
