"""What the judge asks of a canary, in parts that are tested one by one.

failing         answers that the stable version had to give in the canary's place, beside the stable version's failures
shadow_failing  the same of copies of requests, which no user waits for
too_slow        answers that take longer than the SLO promises, by class of image size
slower          answers that take longer than 95 of 100 of the stable version's did
empty           plates without a plant
unknown         plates with a trait that is not known although the scale is
disagreeing     how far the canary is from the stable version on the same plates, beside what its card expects
unusual         plates that lie outside the middle 90 % of the canary's card, beside the stable version's

All compare the canary with the stable version in the same stretch of time, `disagreeing` even on the very same plates.
Cards say what to expect, never the verdict alone.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from thale.monitoring import drift
from thale.monitoring.histogram import Binned
from thale.release.judge.sequential_tests import NOTHING, Evidence, MeanTest, RateTest, Tally
from thale.release.judge.version_metrics import VersionSignals, Window
from thale.schemas import Card
from thale.slo import Slo

AGREEMENT = "agreement_"
LARGER_IS_WORSE = ("agreement_landmark_px_", "agreement_trait_")
AGREEMENT_PLATES = "agreement_plates"
"""The metric in a card that says from how many plates its `agreement_…` references come."""

_FEW_PLATES = 20.0
_LEAST_SCORE, _LEAST_RANGE, _DEVIATIONS = 0.01, 0.15, 6.0
_BY_LANDMARK, _LANDMARKS_A_PLATE = "agreement_landmark_px_", 10.0
_USUAL = 0.9
_SLOW = 0.95
_LEAST_FOR_A_QUANTILE = 100
_LATE_OR_LOST = ("failed", "unavailable", "late", "nonsense")
_SHADOW_FAULTS = ("failed", "unavailable", "nonsense")


@dataclass(frozen=True)
class Heard:
    """What the questions are asked of: a stretch of time, what was known before it, and both cards."""

    window: Window
    stable_seconds: Binned | None
    """How long the stable version's answers took before."""
    canary_card: Card
    stable_card: Card
    slo: Slo


@dataclass(frozen=True)
class Part:
    """One comparison of a question: a test and what it hears of a stretch of time, which may be nothing.

    The weights of all parts of a question sum up to 1.
    """

    name: str
    weight: float
    test: RateTest | MeanTest
    canary: Tally = NOTHING
    stable: Tally = NOTHING
    scores: tuple[float, ...] = ()
    """For a mean: the score that each bin stands for."""
    counts: tuple[int, ...] = ()
    """For a mean: how many values are in each bin."""

    def heard(self, evidence: Evidence) -> Evidence:
        """Return the evidence with what this part has heard."""
        if isinstance(self.test, RateTest):
            return self.test.heard(evidence, self.canary, self.stable)
        return self.test.heard(evidence, self.scores, self.counts)


@dataclass(frozen=True)
class Question:
    """A question, and what the bad answers are called."""

    name: str
    words: str
    parts: Callable[[Heard], Iterator[Part]]


def canary_answers(canary: VersionSignals) -> Tally:
    """Return the canary's answers to users, bad ones being those that the stable version had to give.

    What neither version could answer is nobody's fault but the image's. An open breaker is one bad answer each time it
    is looked at, however many requests it turned away: they say the same thing.
    """
    missed = sum(count for reason, count in canary.fallbacks.items() if reason != "open")
    missed += min(canary.fallbacks.get("open", 0), 1)
    return Tally(missed, missed + canary.requests.get("ok", 0) + canary.requests.get("refused", 0))


def stable_answers(window: Window) -> Tally:
    """Return the stable version's answers to users, without those that it gave in the canary's place."""
    requests = window.stable.requests
    bad = sum(requests.get(outcome, 0) for outcome in _LATE_OR_LOST)
    in_its_place = sum(window.canary.fallbacks.values())
    good = requests.get("ok", 0) + requests.get("refused", 0) - in_its_place
    return Tally(bad, bad + max(good, 0))


def shadow_answers(canary: VersionSignals) -> Tally:
    """Return the canary's answers as a shadow. Late and dropped copies are left out: shadows come last on purpose."""
    bad = sum(canary.shadow_requests.get(outcome, 0) for outcome in _SHADOW_FAULTS)
    return Tally(bad, bad + canary.shadow_requests.get("ok", 0))


def _failing(heard: Heard) -> Iterator[Part]:
    test = RateTest(heard.slo.judge.margins.failing)
    yield Part("", 1.0, test, canary_answers(heard.window.canary), stable_answers(heard.window))


def _shadow_failing(heard: Heard) -> Iterator[Part]:
    test = RateTest(heard.slo.judge.margins.shadow_failing)
    yield Part("", 1.0, test, shadow_answers(heard.window.canary), stable_answers(heard.window))


def _too_slow(heard: Heard) -> Iterator[Part]:
    policy = heard.slo.judge
    limits_s = sorted({promise.p99_s for promise in heard.slo.latency})
    test = RateTest(policy.margins.too_slow, policy.series_plates)
    for limit_s in limits_s:
        yield Part(f"{limit_s:g} s", 1 / len(limits_s), test, *_slower_than(heard.window, limit_s))


def _slower(heard: Heard) -> Iterator[Part]:
    policy, before = heard.slo.judge, heard.stable_seconds
    if before is None or before.total < _LEAST_FOR_A_QUANTILE:
        return
    usual_s = next((edge for edge in before.edges if before.at_most(edge) >= _SLOW * before.total), math.inf)
    test = RateTest(policy.margins.slower, policy.series_plates)
    yield Part("", 1.0, test, *_slower_than(heard.window, max(usual_s, policy.quick_enough_s)))


def _empty(heard: Heard) -> Iterator[Part]:
    canary, stable, policy = heard.window.canary, heard.window.stable, heard.slo.judge
    test = RateTest(policy.margins.empty, policy.empty_series_plates)
    yield Part("", 1.0, test, Tally.read(canary.empty, canary.plates), Tally.read(stable.empty, stable.plates))


def _unknown(heard: Heard) -> Iterator[Part]:
    canary, stable, policy = heard.window.canary, heard.window.stable, heard.slo.judge
    test = RateTest(policy.margins.unknown, policy.series_plates)
    yield Part("", 1.0, test, Tally.read(canary.nan, canary.plates), Tally.read(stable.nan, stable.plates))


def _disagreeing(heard: Heard) -> Iterator[Part]:
    policy = heard.slo.judge
    expected = expected_agreement(heard.canary_card, heard.stable_card)
    for signal, expectation in expected.items():
        histogram = heard.window.canary.histograms.get(signal)
        if histogram is not None:
            least, floor = expectation.least(signal, histogram.edges, policy.margins.disagreeing)
            each = _LANDMARKS_A_PLATE if signal.startswith(_BY_LANDMARK) else 1.0
            test = MeanTest(least, policy.series_plates * each, floor)
            scores = _scores(signal, histogram.edges)
            yield Part(signal, 1 / len(expected), test, scores=scores, counts=histogram.counts_B)


def _unusual(heard: Heard) -> Iterator[Part]:
    policy, references = heard.slo.judge, heard.canary_card.references
    names = said(heard.canary_card)
    test = RateTest(policy.margins.unusual, policy.series_plates)
    for name in names:
        canary, stable = (
            _outside(version.histograms.get(name), references[name])
            for version in (heard.window.canary, heard.window.stable)
        )
        yield Part(name, 1 / len(names), test, canary, stable)


QUESTIONS = (
    Question("failing", "of the canary's answers had to be given by the stable version", _failing),
    Question("shadow_failing", "of the canary's answers as a shadow failed", _shadow_failing),
    Question("too_slow", "of the canary's answers took longer than promised", _too_slow),
    Question("slower", "of the canary's answers were slower than 95 % of the stable version's", _slower),
    Question("empty", "of the canary's plates came out without a plant", _empty),
    Question("unknown", "of the canary's plates of known scale lack a trait", _unknown),
    Question("disagreeing", "comparisons with the stable version's answers on the same plates", _disagreeing),
    Question("unusual", "of the canary's plates lie outside the middle 90 % of its card", _unusual),
)


def said(card: Card) -> list[str]:
    """Return the references of a card that are about what the model says, not about its agreement with another."""
    return [name for name in card.references if not _agreement(name)]


@dataclass(frozen=True)
class Expectation:
    """What agreement with the stable version a good canary has: measured on `plates` plates, or a bare least mean."""

    quantiles: tuple[float, ...] = ()
    plates: float = 0.0
    mean: float = math.nan

    def least(self, signal: str, edges: tuple[float, ...], margin: float) -> tuple[float, float]:
        """Return the mean score that is still good, and the score below which a plate is as bad as any.

        The mean is the expected one, less the margin and twice its standard error. The references are put into the
        same bins as the answers, so that both are rounded alike.
        """
        if not self.quantiles:
            return self.mean, 0.0
        mean, deviation, floor = _expected(signal, self.quantiles, edges)
        return max(mean - margin - 2 * deviation / math.sqrt(self.plates), floor + _LEAST_SCORE), floor


def expected_agreement(canary: Card, stable: Card) -> Mapping[str, Expectation]:
    """Return by signal what agreement with the stable version is expected of a good canary.

    Read off the card's `agreement_…` references, measured when the version was registered. A card without any is held
    to what two versions would agree on if their errors had nothing to do with each other: a Dice of the product of
    their own Dices against the truth. That finds a canary that has gone mad, not one that has become a little worse.
    """
    plates = max(canary.metrics.get(AGREEMENT_PLATES, _FEW_PLATES), 1.0)
    measured = {name: Expectation(values, plates) for name, values in canary.references.items() if _agreement(name)}
    if measured or canary.task != "segmentation":
        return measured
    independent = {}
    for organ in canary.classes[1:]:
        product = math.prod(card.metrics.get(f"plates_dice_{organ}", math.nan) for card in (canary, stable))
        if 0 < product < 1:
            independent[f"{AGREEMENT}dice_{organ}"] = Expectation(mean=product)
    return independent


def _agreement(name: str) -> bool:
    return name.startswith(AGREEMENT)


@lru_cache(maxsize=256)
def _expected(signal: str, quantiles: tuple[float, ...], edges: tuple[float, ...]) -> tuple[float, float, float]:
    """Return mean and standard deviation of the scores that quantiles stand for, and the floor they are cut off at."""
    scores_B, shares_B = np.array(_scores(signal, edges)), drift.shares(quantiles, edges)
    mean, deviation = _mean_and_deviation(scores_B, shares_B)
    floor = max(mean - max(_DEVIATIONS * deviation, _LEAST_RANGE), 0.0)
    return *_mean_and_deviation(np.maximum(scores_B, floor), shares_B), floor


def _mean_and_deviation(scores_B: NDArray[np.float64], shares_B: NDArray[np.float64]) -> tuple[float, float]:
    mean = float(shares_B @ scores_B)
    return mean, math.sqrt(float(shares_B @ (scores_B - mean) ** 2))


@lru_cache(maxsize=256)
def _scores(signal: str, edges: tuple[float, ...]) -> tuple[float, ...]:
    """Return the score, 0 … 1, that a value in each bin stands for: the middle of the bin.

    Dice and F1 are scores. Distances and differences become 1 - value / largest edge, and 0 beyond it.
    """
    downwards = signal.startswith(LARGER_IS_WORSE)
    top = edges[-1] if downwards else 1.0
    ends = [0.0, *edges, top]
    middles = [min((low + high) / 2, top) / top for low, high in pairwise(ends)]
    return tuple(1 - middle if downwards else middle for middle in middles)


def _slower_than(window: Window, seconds: float) -> tuple[Tally, Tally]:
    """Return the canary's and the stable version's answers, bad ones being slower than the next edge of the bins."""
    canary, stable = (_above(version.histograms.get("seconds"), seconds) for version in (window.canary, window.stable))
    return canary, stable


def _above(histogram: Binned | None, threshold: float) -> Tally:
    """Count the values that are surely above a threshold: those beyond the next edge of the bins."""
    if histogram is None:
        return NOTHING
    edge = next((edge for edge in histogram.edges if edge >= threshold), math.inf)
    surely_at_most = histogram.at_most(edge) if edge < math.inf else histogram.total
    return Tally(histogram.total - surely_at_most, histogram.total)


def _outside(histogram: Binned | None, quantiles: tuple[float, ...]) -> Tally:
    """Count the values outside the usual range of a reference, widened to the edges of the bins."""
    if histogram is None:
        return NOTHING
    low, high = _quantile(quantiles, (1 - _USUAL) / 2), _quantile(quantiles, (1 + _USUAL) / 2)
    below = [edge for edge in histogram.edges if edge < low]
    under = histogram.at_most(below[-1]) if below else 0
    return Tally(under + _above(histogram, high).bad, histogram.total)


@lru_cache(maxsize=256)
def _quantile(quantiles: tuple[float, ...], level: float) -> float:
    """Return a quantile, of those at equal steps from 0 to 100 %."""
    place = level * (len(quantiles) - 1)
    low = min(int(place + 1e-9), len(quantiles) - 1)
    high = min(low + 1, len(quantiles) - 1)
    return quantiles[low] + max(place - low, 0.0) * (quantiles[high] - quantiles[low])
