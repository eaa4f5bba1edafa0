"""Checks of a canary. Each check consists of one or more comparisons, and each comparison is one test.

failures             requests of the canary that fell back to stable, against the failure rate of stable
shadow_failures      failed shadow requests of the canary without timeouts, against the failure rate of stable
latency_slo          responses slower than a latency objective
latency_regression   responses slower than the 95th percentile of stable
no_plants            plates without plants
missing_traits       plates with a missing trait although the scale is known
shadow_disagreement  agreement with stable on the same plates, against the expectation of the canary's card
output_drift         plates outside the central 90 % of the canary's card

All checks compare the canary with stable in the same observation window. `shadow_disagreement` compares them on the
same plates. Cards provide expectations and never decide a verdict alone.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from thale.monitoring import drift
from thale.monitoring.histogram import Histogram
from thale.release.judge.policy import JudgePolicy
from thale.release.judge.sequential_tests import NO_COUNTS, Counts, Evidence, MeanTest, RateTest
from thale.release.judge.version_metrics import ComparisonWindow, VersionMetrics
from thale.schemas import ModelCard
from thale.slo import Slo

AGREEMENT_PREFIX = "agreement_"
LARGER_IS_WORSE = ("agreement_landmark_px_", "agreement_trait_")
AGREEMENT_PLATES_METRIC = "agreement_plates"
"""Metric of a card: the number of plates behind its `agreement_…` references."""
REFERENCE_PLATES_METRIC = "plates_plates"
"""Metric of a card: the number of plates behind its other references."""

_DEFAULT_AGREEMENT_PLATES = 20.0
_MIN_SCORE, _MIN_SCORE_RANGE, _SCORE_RANGE_DEVIATIONS = 0.01, 0.15, 6.0
_LANDMARK_PREFIX, _LANDMARKS_PER_PLATE = "agreement_landmark_px_", 10.0
_CENTRAL_FRACTION = 0.9
_LATENCY_QUANTILE = 0.95
_MIN_QUANTILE_COUNT = 100
_FAILURE_OUTCOMES = ("error", "unavailable", "timeout", "invalid_response")
_SHADOW_FAILURE_OUTCOMES = ("error", "unavailable", "invalid_response")


@dataclass(frozen=True)
class CheckInput:
    """Input of the checks: an observation window, earlier latencies of stable, both cards, and the limits."""

    window: ComparisonWindow
    stable_latency_s: Histogram | None
    """Latencies of stable before the window."""
    canary_card: ModelCard
    stable_card: ModelCard
    slo: Slo
    policy: JudgePolicy


@dataclass(frozen=True)
class Comparison:
    """One comparison of a check: a test and its observations in one window, which may be empty.

    The weights of all comparisons of a check sum to 1.
    """

    name: str
    weight: float
    test: RateTest | MeanTest
    canary: Counts = NO_COUNTS
    stable: Counts = NO_COUNTS
    scores: tuple[float, ...] = ()
    """For a `MeanTest`: the score at the centre of each bin."""
    counts: tuple[int, ...] = ()
    """For a `MeanTest`: the number of values in each bin."""

    def update(self, evidence: Evidence) -> Evidence:
        """Return the evidence with the observations of this comparison added."""
        if isinstance(self.test, RateTest):
            return self.test.update(evidence, self.canary, self.stable)
        return self.test.update(evidence, self.scores, self.counts)


@dataclass(frozen=True)
class Check:
    """A check, with a description of its bad outcomes for summaries."""

    name: str
    description: str
    comparisons: Callable[[CheckInput], Iterator[Comparison]]


def canary_outcomes(canary: VersionMetrics) -> Counts:
    """Return the canary's responses to users. The bad ones are the requests that fell back to stable.

    A request that stable failed as well does not count against the canary: its image is the cause. An open circuit
    breaker counts as one bad response per poll, however many requests it rejected. These are not independent.
    """
    fallbacks = sum(count for reason, count in canary.fallbacks.items() if reason != "open")
    fallbacks += min(canary.fallbacks.get("open", 0), 1)
    return Counts(fallbacks, fallbacks + canary.requests.get("ok", 0) + canary.requests.get("rejected", 0))


def stable_outcomes(window: ComparisonWindow) -> Counts:
    """Return stable's responses to users, without the fallbacks of the canary."""
    requests = window.stable.requests
    bad = sum(requests.get(outcome, 0) for outcome in _FAILURE_OUTCOMES)
    fallbacks = sum(window.canary.fallbacks.values())
    good = requests.get("ok", 0) + requests.get("rejected", 0) - fallbacks
    return Counts(bad, bad + max(good, 0))


def shadow_outcomes(canary: VersionMetrics) -> Counts:
    """Return the canary's responses to shadow requests.

    Timed-out and dropped shadow requests are ignored, because shadow traffic has the lowest priority by design.
    """
    bad = sum(canary.shadow_requests.get(outcome, 0) for outcome in _SHADOW_FAILURE_OUTCOMES)
    return Counts(bad, bad + canary.shadow_requests.get("ok", 0))


def _compare_failures(check_input: CheckInput) -> Iterator[Comparison]:
    test = RateTest(check_input.policy.margins.failures)
    yield Comparison("", 1.0, test, canary_outcomes(check_input.window.canary), stable_outcomes(check_input.window))


def _compare_shadow_failures(check_input: CheckInput) -> Iterator[Comparison]:
    test = RateTest(check_input.policy.margins.shadow_failures)
    yield Comparison("", 1.0, test, shadow_outcomes(check_input.window.canary), stable_outcomes(check_input.window))


def _compare_with_latency_slo(check_input: CheckInput) -> Iterator[Comparison]:
    policy = check_input.policy
    limits_s = sorted({objective.p99_s for objective in check_input.slo.latency})
    test = RateTest(policy.margins.latency_slo, policy.plate_cluster_size)
    for limit_s in limits_s:
        yield Comparison(f"{limit_s:g} s", 1 / len(limits_s), test, *_count_slower(check_input.window, limit_s))


def _compare_latency(check_input: CheckInput) -> Iterator[Comparison]:
    policy, stable_latency_s = check_input.policy, check_input.stable_latency_s
    if stable_latency_s is None or stable_latency_s.total < _MIN_QUANTILE_COUNT:
        return
    threshold_s = next(
        (
            edge
            for edge in stable_latency_s.edges
            if stable_latency_s.cumulative_count(edge) >= _LATENCY_QUANTILE * stable_latency_s.total
        ),
        math.inf,
    )
    test = RateTest(policy.margins.latency_regression, policy.plate_cluster_size)
    yield Comparison("", 1.0, test, *_count_slower(check_input.window, max(threshold_s, policy.latency_floor_s)))


def _compare_plates_without_plants(check_input: CheckInput) -> Iterator[Comparison]:
    canary, stable, policy = check_input.window.canary, check_input.window.stable, check_input.policy
    test = RateTest(policy.margins.no_plants, policy.empty_plate_cluster_size)
    yield Comparison(
        "",
        1.0,
        test,
        Counts.from_counters(canary.empty, canary.plates),
        Counts.from_counters(stable.empty, stable.plates),
    )


def _compare_missing_traits(check_input: CheckInput) -> Iterator[Comparison]:
    canary, stable, policy = check_input.window.canary, check_input.window.stable, check_input.policy
    test = RateTest(policy.margins.missing_traits, policy.plate_cluster_size)
    yield Comparison(
        "", 1.0, test, Counts.from_counters(canary.nan, canary.plates), Counts.from_counters(stable.nan, stable.plates)
    )


def _compare_shadow_agreement(check_input: CheckInput) -> Iterator[Comparison]:
    policy = check_input.policy
    expected = expected_agreement(check_input.canary_card, check_input.stable_card)
    for signal, expectation in expected.items():
        histogram = check_input.window.canary.histograms.get(signal)
        if histogram is not None:
            min_mean, floor = expectation.min_score(signal, histogram.edges, policy.margins.shadow_disagreement)
            values_per_plate = _LANDMARKS_PER_PLATE if signal.startswith(_LANDMARK_PREFIX) else 1.0
            test = MeanTest(min_mean, policy.plate_cluster_size * values_per_plate, floor)
            scores = _bin_scores(signal, histogram.edges)
            yield Comparison(signal, 1 / len(expected), test, scores=scores, counts=histogram.counts_B)


def _compare_with_references(check_input: CheckInput) -> Iterator[Comparison]:
    policy, references = check_input.policy, check_input.canary_card.references
    names = output_references(check_input.canary_card)
    test = RateTest(policy.margins.output_drift, policy.plate_cluster_size)
    for name in names:
        canary, stable = (
            _count_outside(version.histograms.get(name), references[name])
            for version in (check_input.window.canary, check_input.window.stable)
        )
        yield Comparison(name, 1 / len(names), test, canary, stable)


CHECKS = (
    Check("failures", "of the canary's requests fell back to stable", _compare_failures),
    Check("shadow_failures", "of the canary's shadow requests failed", _compare_shadow_failures),
    Check("latency_slo", "of the canary's responses exceeded the latency objective", _compare_with_latency_slo),
    Check(
        "latency_regression", "of the canary's responses were slower than stable's 95th percentile", _compare_latency
    ),
    Check("no_plants", "of the canary's plates have no plants", _compare_plates_without_plants),
    Check("missing_traits", "of the canary's plates with a known scale lack a trait", _compare_missing_traits),
    Check("shadow_disagreement", "comparisons with stable on the same plates", _compare_shadow_agreement),
    Check("output_drift", "of the canary's plates are outside the central 90 % of its card", _compare_with_references),
)


def output_references(card: ModelCard) -> list[str]:
    """Return the names of the card's references for model outputs, without those for agreement with another version."""
    return [name for name in card.references if not _is_agreement(name)]


@dataclass(frozen=True)
class Expectation:
    """Expected agreement of a good canary with stable: quantiles measured on `plates` plates, or a minimum mean."""

    quantiles: tuple[float, ...] = ()
    plates: float = 0.0
    mean: float = math.nan

    def min_score(self, signal: str, edges: tuple[float, ...], margin: float) -> tuple[float, float]:
        """Return the minimum acceptable mean score, and the floor to which lower scores are clipped.

        The minimum is the expected mean minus the margin and minus twice its standard error. The references are
        assigned to the same bins as the observations, so that both are rounded alike.
        """
        if not self.quantiles:
            return self.mean, 0.0
        mean, deviation, floor = _score_distribution(signal, self.quantiles, edges)
        return max(mean - margin - 2 * deviation / math.sqrt(self.plates), floor + _MIN_SCORE), floor


def expected_agreement(canary: ModelCard, stable: ModelCard) -> Mapping[str, Expectation]:
    """Return the expected agreement of a good canary with stable, by signal.

    The card's `agreement_…` references are measured before the version is registered. Without them, the expectation
    is the agreement of two versions with independent errors: the product of their Dice scores against the ground
    truth. This detects a broken canary, but not a slightly worse one.
    """
    plates = max(canary.metrics.get(AGREEMENT_PLATES_METRIC, _DEFAULT_AGREEMENT_PLATES), 1.0)
    expectations = {
        name: Expectation(values, plates) for name, values in canary.references.items() if _is_agreement(name)
    }
    if expectations or canary.task != "segmentation":
        return expectations
    independent = {}
    for organ in canary.classes[1:]:
        product = math.prod(card.metrics.get(f"plates_dice_{organ}", math.nan) for card in (canary, stable))
        if 0 < product < 1:
            independent[f"{AGREEMENT_PREFIX}dice_{organ}"] = Expectation(mean=product)
    return independent


def _is_agreement(name: str) -> bool:
    return name.startswith(AGREEMENT_PREFIX)


@lru_cache(maxsize=256)
def _score_distribution(
    signal: str, quantiles: tuple[float, ...], edges: tuple[float, ...]
) -> tuple[float, float, float]:
    """Return mean and standard deviation of the scores of a reference, and the floor to which they are clipped."""
    scores_B, shares_B = np.array(_bin_scores(signal, edges)), drift.bin_probabilities(quantiles, edges)
    mean, deviation = _mean_and_deviation(scores_B, shares_B)
    floor = max(mean - max(_SCORE_RANGE_DEVIATIONS * deviation, _MIN_SCORE_RANGE), 0.0)
    return *_mean_and_deviation(np.maximum(scores_B, floor), shares_B), floor


def _mean_and_deviation(scores_B: NDArray[np.float64], shares_B: NDArray[np.float64]) -> tuple[float, float]:
    mean = float(shares_B @ scores_B)
    return mean, math.sqrt(float(shares_B @ (scores_B - mean) ** 2))


@lru_cache(maxsize=256)
def _bin_scores(signal: str, edges: tuple[float, ...]) -> tuple[float, ...]:
    """Return the score of each bin, from 0 to 1, at the centre of the bin.

    Dice and F1 are scores already. Distances and differences become 1 - value / largest edge, and 0 above it.
    """
    is_larger_worse = signal.startswith(LARGER_IS_WORSE)
    top = edges[-1] if is_larger_worse else 1.0
    bounds = [0.0, *edges, top]
    midpoints = [min((low + high) / 2, top) / top for low, high in pairwise(bounds)]
    return tuple(1 - middle if is_larger_worse else middle for middle in midpoints)


def _count_slower(window: ComparisonWindow, seconds: float) -> tuple[Counts, Counts]:
    """Return the responses of canary and stable. Bad ones exceed the first bin edge at or above `seconds`."""
    canary, stable = (
        _count_above(version.histograms.get("seconds"), seconds) for version in (window.canary, window.stable)
    )
    return canary, stable


def _count_above(histogram: Histogram | None, threshold: float) -> Counts:
    """Count the values that are certainly above a threshold: those above the first bin edge at or above it."""
    if histogram is None:
        return NO_COUNTS
    edge = next((edge for edge in histogram.edges if edge >= threshold), math.inf)
    count_below = histogram.cumulative_count(edge) if edge < math.inf else histogram.total
    return Counts(histogram.total - count_below, histogram.total)


def _count_outside(histogram: Histogram | None, quantiles: tuple[float, ...]) -> Counts:
    """Count the values outside the central range of a reference, widened to bin edges."""
    if histogram is None:
        return NO_COUNTS
    low, high = _quantile(quantiles, (1 - _CENTRAL_FRACTION) / 2), _quantile(quantiles, (1 + _CENTRAL_FRACTION) / 2)
    below = [edge for edge in histogram.edges if edge < low]
    count_below = histogram.cumulative_count(below[-1]) if below else 0
    return Counts(count_below + _count_above(histogram, high).bad, histogram.total)


@lru_cache(maxsize=256)
def _quantile(quantiles: tuple[float, ...], level: float) -> float:
    """Interpolate a quantile from quantiles at equal steps from 0 to 100 %."""
    position = level * (len(quantiles) - 1)
    low = min(int(position + 1e-9), len(quantiles) - 1)
    high = min(low + 1, len(quantiles) - 1)
    return quantiles[low] + max(position - low, 0.0) * (quantiles[high] - quantiles[low])
