"""Answers on recent plates beside the version's card: on the watcher's gauges, with how many plates they rest on."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from tests.support.sample_releases import release
from thale.monitoring.histogram import Binned
from thale.release.controller.drift_monitor import LEAST_PLATES, Drifts, drifts
from thale.release.judge.version_metrics import VersionSignals
from thale.schemas import Release
from thale.telemetry import controller_metrics

QUANTILES = tuple(np.linspace(0.0, 20.0, 21))  # plates with 0 … 20 plants, all equally often
EDGES = tuple(float(edge) for edge in range(20))
SERIES = ("thale_drift_psi", "thale_drift_ks", "thale_drift_plates")


@pytest.fixture
def watched() -> Iterator[Drifts]:
    board = Drifts(together=10)
    yield board
    board.clear()


def measured(references: dict[str, tuple[float, ...]] | None = None, plates: float = 40.0) -> Release:
    """Return a release whose stable version was measured so."""
    plain = release()
    stable = plain.versions["1.0.0"]
    references = references if references is not None else {"plants": QUANTILES, "agreement_dice_root": QUANTILES}
    card = stable.card.model_copy(update={"references": references, "metrics": {"plates_plates": plates}})
    return plain.model_copy(update={"versions": {"1.0.0": stable.model_copy(update={"card": card})}})


def seen(values: np.ndarray, name: str = "plants") -> VersionSignals:
    counts = np.bincount(np.searchsorted(EDGES, values), minlength=len(EDGES) + 1)
    binned = Binned(EDGES, tuple(int(count) for count in counts))
    return VersionSignals(plates=len(values), histograms={name: binned, "seconds": binned})


def told() -> dict[str, float]:
    return {
        f"{sample.name} {sample.labels.get('signal', '')}".strip(): sample.value
        for family in controller_metrics.WATCHER.collect()
        if family.name in SERIES
        for sample in family.samples
    }


def usual(plates: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 20, plates)


def test_plates_like_those_that_the_card_was_measured_on_do_not_drift_and_others_do(watched: Drifts) -> None:
    model = measured()
    watched.heard(model, {(model.name, "1.0.0"): seen(usual(400))})
    before = told()
    assert before.keys() == {"thale_drift_psi plants", "thale_drift_ks plants", "thale_drift_plates"}
    assert (before["thale_drift_psi plants"] < 0.1, before["thale_drift_ks plants"] < 0.1) == (True, True)
    assert before["thale_drift_plates"] == 400
    watched.heard(model, {(model.name, "1.0.0"): seen(np.minimum(usual(600, seed=1), 4))})
    assert told()["thale_drift_psi plants"] > 0.25
    assert told()["thale_drift_ks plants"] > 0.3


def test_what_was_long_ago_is_forgotten(watched: Drifts) -> None:
    model = measured()
    for _ in range(10):
        watched.heard(model, {(model.name, "1.0.0"): seen(np.zeros(100))})
    assert told()["thale_drift_psi plants"] > 0.25
    for step in range(10):
        watched.heard(model, {(model.name, "1.0.0"): seen(usual(100, seed=step))})
    assert told()["thale_drift_plates"] == 1000
    assert told()["thale_drift_psi plants"] < 0.1


def test_too_few_plates_are_told_and_nothing_is_made_of_them(watched: Drifts) -> None:
    model = measured()
    watched.heard(model, {(model.name, "1.0.0"): seen(usual(LEAST_PLATES - 1))})
    assert told() == {"thale_drift_plates": LEAST_PLATES - 1}
    watched.heard(model, {(model.name, "1.0.0"): seen(usual(1))})
    assert "thale_drift_psi plants" in told()


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
def test_a_card_that_says_nothing_that_can_be_compared_makes_no_figure(
    references: dict[str, tuple[float, ...]], plates: float
) -> None:
    card = measured(references, plates).versions["1.0.0"].card
    assert list(drifts(card, seen(usual(400)), together=10)) == []


def test_whatever_the_reference_figures_are_numbers() -> None:
    for quantiles in ((0.0, 0.0), (5.0, 5.0, 5.0), (-1e9, 1e9), (100.0, 200.0)):
        for values in (np.zeros(20), np.full(50, 5.0), np.full(20, 1e6), usual(400)):
            card = measured({"plants": quantiles}).versions["1.0.0"].card
            [(_, found)] = drifts(card, seen(values), together=10)
            assert math.isfinite(found.psi)
            assert found.psi >= 0
            assert 0 <= found.ks <= 1


def test_a_version_that_is_gone_is_told_no_more(watched: Drifts) -> None:
    model = measured()
    watched.heard(model, {(model.name, "1.0.0"): seen(usual(100))})
    stable = model.versions["1.0.0"]
    newer = stable.model_copy(update={"card": stable.card.model_copy(update={"version": "2.0.0"})})
    watched.heard(model.model_copy(update={"stable": "2.0.0", "versions": {"2.0.0": newer}}), {})
    assert told() == {}
    watched.heard(model, {(model.name, "1.0.0"): seen(usual(100))})
    watched.remove(model.name)
    assert told() == {}
