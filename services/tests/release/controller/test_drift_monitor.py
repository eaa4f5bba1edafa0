"""Drift of recent plates against the card of the version, as gauges of the controller."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from tests.support.sample_releases import make_release
from thale.monitoring.histogram import Histogram
from thale.release.controller.drift_monitor import MIN_PLATES, DriftMonitor, drift_by_signal
from thale.release.judge.version_metrics import VersionMetrics
from thale.schemas import Release
from thale.telemetry import controller_metrics

QUANTILES = tuple(np.linspace(0.0, 20.0, 21))  # uniform between 0 and 20 plants
EDGES = tuple(float(edge) for edge in range(20))
SERIES = ("thale_drift_psi", "thale_drift_ks", "thale_drift_plates")


@pytest.fixture
def drift_monitor() -> Iterator[DriftMonitor]:
    """Return a drift monitor, without the series that other tests left in the process."""
    for gauge in (controller_metrics.DRIFT_PLATES, controller_metrics.DRIFT_PSI, controller_metrics.DRIFT_KS):
        gauge.clear()
    drift_monitor = DriftMonitor(cluster_size=10)
    yield drift_monitor
    drift_monitor.clear()


def release_with_references(references: dict[str, tuple[float, ...]] | None = None, plates: float = 40.0) -> Release:
    """Return a release whose stable version has these references."""
    plain = make_release()
    stable = plain.versions["1.0.0"]
    references = references if references is not None else {"plants": QUANTILES, "agreement_dice_root": QUANTILES}
    card = stable.card.model_copy(update={"references": references, "metrics": {"plates_plates": plates}})
    return plain.model_copy(update={"versions": {"1.0.0": stable.model_copy(update={"card": card})}})


def metrics_with(values: np.ndarray, name: str = "plants") -> VersionMetrics:
    counts = np.bincount(np.searchsorted(EDGES, values), minlength=len(EDGES) + 1)
    histogram = Histogram(EDGES, tuple(int(count) for count in counts))
    return VersionMetrics(plates=len(values), histograms={name: histogram, "seconds": histogram})


def exposed_metrics() -> dict[str, float]:
    return {
        f"{sample.name} {sample.labels.get('signal', '')}".strip(): sample.value
        for family in controller_metrics.CONTROLLER_REGISTRY.collect()
        if family.name in SERIES
        for sample in family.samples
    }


def uniform_values(plates: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 20, plates)


def test_drift_monitor_exports_drift_of_changed_plates_only(
    drift_monitor: DriftMonitor,
) -> None:
    release = release_with_references()
    drift_monitor.update(release, {(release.name, "1.0.0"): metrics_with(uniform_values(400))})
    exposed = exposed_metrics()
    assert exposed.keys() == {"thale_drift_psi plants", "thale_drift_ks plants", "thale_drift_plates"}
    assert (exposed["thale_drift_psi plants"] < 0.1, exposed["thale_drift_ks plants"] < 0.1) == (True, True)
    assert exposed["thale_drift_plates"] == 400
    drift_monitor.update(release, {(release.name, "1.0.0"): metrics_with(np.minimum(uniform_values(600, seed=1), 4))})
    assert exposed_metrics()["thale_drift_psi plants"] > 0.25
    assert exposed_metrics()["thale_drift_ks plants"] > 0.3


def test_drift_monitor_drops_old_plates(drift_monitor: DriftMonitor) -> None:
    release = release_with_references()
    for _ in range(10):
        drift_monitor.update(release, {(release.name, "1.0.0"): metrics_with(np.zeros(100))})
    assert exposed_metrics()["thale_drift_psi plants"] > 0.25
    for step in range(10):
        drift_monitor.update(release, {(release.name, "1.0.0"): metrics_with(uniform_values(100, seed=step))})
    assert exposed_metrics()["thale_drift_plates"] == 1000
    assert exposed_metrics()["thale_drift_psi plants"] < 0.1


def test_drift_monitor_exports_only_the_count_of_few_plates(drift_monitor: DriftMonitor) -> None:
    release = release_with_references()
    drift_monitor.update(release, {(release.name, "1.0.0"): metrics_with(uniform_values(MIN_PLATES - 1))})
    assert exposed_metrics() == {"thale_drift_plates": MIN_PLATES - 1}
    drift_monitor.update(release, {(release.name, "1.0.0"): metrics_with(uniform_values(1))})
    assert "thale_drift_psi plants" in exposed_metrics()


@pytest.mark.parametrize(
    ("references", "plates"),
    [
        ({}, 40.0),
        ({"plants": QUANTILES}, 0.0),
        ({"plants": QUANTILES}, math.nan),
        ({"plants": (math.nan,) * 21}, 40.0),
        ({"plants": (0.0, math.inf)}, 40.0),
        ({"plants": (3.0, 2.0, 1.0)}, 40.0),
        ({"plants": (1.0,)}, 40.0),
        ({"score": QUANTILES}, 40.0),
    ],
)
def test_drift_by_signal_skips_unusable_references(references: dict[str, tuple[float, ...]], plates: float) -> None:
    card = release_with_references(references, plates).versions["1.0.0"].card
    assert list(drift_by_signal(card, metrics_with(uniform_values(400)), cluster_size=10)) == []


def test_drift_by_signal_is_finite_for_any_reference() -> None:
    for quantiles in ((0.0, 0.0), (5.0, 5.0, 5.0), (-1e9, 1e9), (100.0, 200.0)):
        for values in (np.zeros(20), np.full(50, 5.0), np.full(20, 1e6), uniform_values(400)):
            card = release_with_references({"plants": quantiles}).versions["1.0.0"].card
            [(_, result)] = drift_by_signal(card, metrics_with(values), cluster_size=10)
            assert math.isfinite(result.psi)
            assert result.psi >= 0
            assert 0 <= result.ks <= 1


def test_drift_monitor_removes_series_of_removed_versions(drift_monitor: DriftMonitor) -> None:
    release = release_with_references()
    drift_monitor.update(release, {(release.name, "1.0.0"): metrics_with(uniform_values(100))})
    stable = release.versions["1.0.0"]
    newer = stable.model_copy(update={"card": stable.card.model_copy(update={"version": "2.0.0"})})
    drift_monitor.update(release.model_copy(update={"stable": "2.0.0", "versions": {"2.0.0": newer}}), {})
    assert exposed_metrics() == {}
    drift_monitor.update(release, {(release.name, "1.0.0"): metrics_with(uniform_values(100))})
    drift_monitor.remove(release.name)
    assert exposed_metrics() == {}
