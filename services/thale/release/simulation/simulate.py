"""Simulation of a rollout: sampled traffic with injected faults, the real transitions and the real judge.

Only the facades are simulated: their routing, their counters at each poll, fallbacks to stable, and shadow traffic of
the requests that stable serves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thale.monitoring.histogram import Histogram
from thale.release.judge.analysis_state import AnalysisState
from thale.release.judge.judge import judge
from thale.release.judge.policy import JudgePolicy
from thale.release.judge.version_metrics import ComparisonWindow, VersionMetrics
from thale.release.lifecycle import transitions
from thale.release.lifecycle.transitions import Author
from thale.release.simulation.traffic import Floats, Traffic
from thale.schemas import FrozenModel, Release, Verdict, VersionManifest
from thale.slo import Slo
from thale.telemetry import metrics

Outcome = Literal["promoted", "rolled back", "undecided"]

_OUTAGE_S = 5.0
_BIN_EDGES = {
    "seconds": metrics.SECONDS,
    "plants": tuple(float(plants) for plants in range(17)),
    "area_mm2": (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 35.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 400.0, 600.0, 1200.0),
    "dice": metrics.DICE,
    "": metrics.TWENTIETHS,
}
"""Bin edges, by a keyword in the name of the signal. The last entry is for signals between 0 and 1.

The edges of plants and areas cover the range of the sampled plates, which is smaller than the range of the facades.
"""


class Faults(FrozenModel):
    """Faults of the canary, injected `begins_s` seconds after the start and later."""

    begins_s: float = 0.0
    error_rate: float = 0.0
    """Fraction of failed requests."""
    latency_factor: float = 1.0
    """Factor of the response time."""
    dice_drop: float = 0.0
    """Decrease of the Dice score between its masks and those of stable."""
    all_background: bool = False
    """True: it predicts background everywhere, so that no plate has plants."""
    death_every_s: float = 0.0
    """Seconds between worker crashes, each with an outage of 5 s. 0: no crashes."""


class WeightChange(FrozenModel):
    """New weight of the canary, and its time since the start in seconds."""

    at_s: float
    weight_percent: float


class SimulationResult(FrozenModel):
    """Result of a simulated rollout."""

    outcome: Outcome
    """Undecided: the traffic ended before a promotion or a rollback."""
    duration_s: float
    """Time from the start to the outcome, in seconds."""
    canary_responses: int
    """Responses of the canary to users."""
    bad_responses: int
    """Responses of the canary to users that are wrong or slow because of a fault."""
    fallbacks: int
    """Requests that fell back to stable. Users received valid responses."""
    weight_changes: tuple[WeightChange, ...]
    reasons: tuple[str, ...]
    """Reasons of the last verdict."""


@dataclass(frozen=True)
class _FaultyCanary:
    """Behaviour of the canary for each of the N requests.

    `affected_N` is true for responses that a fault makes wrong or slow.
    """

    failed_N: NDArray[np.bool_]
    affected_N: NDArray[np.bool_]
    seconds_N: Floats
    outputs: dict[str, Floats]
    agreement: dict[str, Floats]


def simulate(
    release: Release,
    canary: VersionManifest,
    traffic: Traffic,
    faults: Faults,
    slo: Slo,
    policy: JudgePolicy,
    rng: np.random.Generator,
    *,
    poll_s: float = 0.5,
    shadow_fraction: float = 1.0,
) -> SimulationResult:
    """Simulate the rollout of a canary.

    Args:
        release: The release before the rollout, without a canary.
        canary: The version of the canary. The judge uses the references of its card.
        traffic: The requests.
        faults: Faults of the canary.
        slo: Latency objectives of the judge.
        policy: Policy of the judge.
        rng: Random generator of the canary's own failures.
        poll_s: Interval in seconds at which the controller reads the counters.
        shadow_fraction: Fraction of stable's requests that are mirrored to the canary. 0: it is not a shadow.

    Raises:
        InvalidTransitionError: If the canary is not valid for the release.
    """
    current = transitions.start_canary(
        release, canary, _simulated_author(0.0, "simulation"), shadow=shadow_fraction > 0
    )
    canary_behaviour = _apply_faults(faults, traffic, rng)
    counters = _SimulatedCounters(traffic, canary_behaviour, rng.random(len(traffic)) < shadow_fraction)
    rollout = _SimulatedRollout(current, slo, policy)
    begin = 0
    while begin < len(traffic) and rollout.outcome == "undecided":
        at_s = rollout.at_s + poll_s
        end = int(np.searchsorted(traffic.at_s_N, at_s))
        rollout.poll(at_s, *counters.window_between(begin, end, rollout.release.weight_percent))
        begin = end
    return rollout.result()


class _SimulatedRollout:
    """Release, canary analysis and totals of a rollout, updated at each poll."""

    def __init__(self, release: Release, slo: Slo, policy: JudgePolicy) -> None:
        self.release = release
        self.outcome: Outcome = "undecided"
        self.at_s = 0.0
        self._slo, self._policy = slo, policy
        self._analysis = AnalysisState.start(release)
        self._weight_changes = [WeightChange(at_s=0.0, weight_percent=release.weight_percent)]
        self._responses, self._bad_responses, self._fallbacks = 0, 0, 0
        self._reasons: tuple[str, ...] = ("no traffic",)

    def poll(self, at_s: float, window: ComparisonWindow, responses: int, bad_responses: int) -> None:
        """Judge the canary with another window, and apply the verdict."""
        self.at_s = at_s
        self._responses += responses
        self._bad_responses += bad_responses
        self._fallbacks += sum(window.canary.fallbacks.values())
        self._analysis = self._analysis.update(self.release, window, self._slo, self._policy)
        verdict = judge(self.release, self._analysis, self._slo, self._policy)
        self._reasons = verdict.reasons
        self.release, self.outcome = _apply_verdict(self.release, verdict, at_s)
        weight_percent = self.release.weight_percent
        if self.outcome == "undecided" and weight_percent != self._weight_changes[-1].weight_percent:
            self._weight_changes.append(WeightChange(at_s=at_s, weight_percent=weight_percent))

    def result(self) -> SimulationResult:
        return SimulationResult(
            outcome=self.outcome,
            duration_s=self.at_s,
            canary_responses=self._responses,
            bad_responses=self._bad_responses,
            fallbacks=self._fallbacks,
            weight_changes=tuple(self._weight_changes),
            reasons=self._reasons,
        )


def _apply_verdict(release: Release, verdict: Verdict, at_s: float) -> tuple[Release, Outcome]:
    author = _simulated_author(at_s, verdict.reasons[0])
    if verdict.decision == "roll back":
        return transitions.roll_back(release, author), "rolled back"
    if verdict.decision != "promote":
        return release, "undecided"
    if release.weight_percent == release.steps[-1]:
        return transitions.promote(release, author), "promoted"
    return transitions.step(release, author), "undecided"


def _apply_faults(faults: Faults, traffic: Traffic, rng: np.random.Generator) -> _FaultyCanary:
    """Return the behaviour of the canary: that of stable, with independent failures and with the faults."""
    active_N = traffic.at_s_N >= faults.begins_s
    failed_N = rng.permutation(traffic.failed_N) | (active_N & (rng.random(len(traffic)) < faults.error_rate))
    if faults.death_every_s:
        failed_N |= active_N & ((traffic.at_s_N - faults.begins_s) % faults.death_every_s < _OUTAGE_S)
    outputs, agreement = dict(traffic.outputs), dict(traffic.agreement)
    for name, values_N in agreement.items():
        if "_dice_" in name:
            worse_N = np.clip(values_N - faults.dice_drop, 0, 1)
            worst_N = np.where(np.isnan(values_N), np.nan, 0.0) if faults.all_background else worse_N
            agreement[name] = np.where(active_N, worst_N, values_N)
    if faults.all_background:
        for name, values_N in outputs.items():
            outputs[name] = np.where(active_N, np.nan if "confidence" in name or name == "score" else 0.0, values_N)
    affects_responses = faults.all_background or faults.dice_drop > 0 or faults.latency_factor != 1
    return _FaultyCanary(
        failed_N=failed_N,
        affected_N=active_N & affects_responses,
        seconds_N=np.where(active_N, traffic.seconds_N * faults.latency_factor, traffic.seconds_N),
        outputs=outputs,
        agreement=agreement,
    )


class _SimulatedCounters:
    """Counters of the facades for a section of the traffic."""

    def __init__(self, traffic: Traffic, canary: _FaultyCanary, mirrored_N: NDArray[np.bool_]) -> None:
        self._traffic, self._canary, self._mirrored_N = traffic, canary, mirrored_N
        stable_outputs = {"seconds": traffic.seconds_N, **traffic.outputs}
        canary_outputs = {"seconds": canary.seconds_N, **canary.outputs}
        self._stable_bins = {name: _bin_indices(name, values_N) for name, values_N in stable_outputs.items()}
        self._canary_bins = {name: _bin_indices(name, values_N) for name, values_N in canary_outputs.items()}
        self._agreement_bins = {name: _bin_indices(name, values_N) for name, values_N in canary.agreement.items()}

    def window_between(self, begin: int, end: int, weight_percent: float) -> tuple[ComparisonWindow, int, int]:
        """Return the window of requests begin … end, and the numbers of all and of faulty canary responses."""
        traffic, canary, rows = self._traffic, self._canary, slice(begin, end)
        to_canary_n = traffic.hash_fraction_N[rows] < weight_percent / 100
        fallback_n = to_canary_n & canary.failed_N[rows]
        served_n = to_canary_n & ~fallback_n
        to_stable_n = ~served_n
        failed_n = to_stable_n & traffic.failed_N[rows]
        good_n = to_stable_n & ~failed_n
        mirrored_n = good_n & ~fallback_n & self._mirrored_N[rows]
        shadow_failed = int((mirrored_n & canary.failed_N[rows]).sum())
        compared_n = mirrored_n & ~canary.failed_N[rows]
        responses = int(served_n.sum())
        window = ComparisonWindow(
            canary=VersionMetrics(
                requests={"ok": responses, "error": int(fallback_n.sum())},
                fallbacks={"error": int((fallback_n & good_n).sum())},
                shadow_requests={"ok": int(compared_n.sum()), "error": shadow_failed},
                plates=responses,
                empty=_count_without_plants(canary.outputs, rows, served_n),
                nan=int(traffic.missing_trait_N[rows][served_n].sum()),
                histograms={
                    **_histograms(self._canary_bins, rows, served_n),
                    **_histograms(self._agreement_bins, rows, compared_n),
                },
            ),
            stable=VersionMetrics(
                requests={"ok": int(good_n.sum()), "error": int(failed_n.sum())},
                plates=int(good_n.sum()),
                empty=_count_without_plants(traffic.outputs, rows, good_n),
                nan=int(traffic.missing_trait_N[rows][good_n].sum()),
                histograms=_histograms(self._stable_bins, rows, good_n),
            ),
        )
        return window, responses, int((served_n & canary.affected_N[rows]).sum())


def _count_without_plants(outputs: Mapping[str, Floats], rows: slice, selected_n: NDArray[np.bool_]) -> int:
    plants_N = outputs.get("plants")
    return 0 if plants_N is None else int((plants_N[rows][selected_n] == 0).sum())


def _bin_edges(name: str) -> tuple[float, ...]:
    return next(edges for keyword, edges in _BIN_EDGES.items() if keyword in name)


def _bin_indices(name: str, values_N: Floats) -> NDArray[np.intp]:
    """Return the bin of each value. NaN has a bin of its own, after the last."""
    edges = _bin_edges(name)
    return np.where(np.isnan(values_N), len(edges) + 1, np.searchsorted(edges, values_N))


def _histograms(bins: dict[str, NDArray[np.intp]], rows: slice, selected_n: NDArray[np.bool_]) -> dict[str, Histogram]:
    if not selected_n.any():
        return {}
    histograms = {}
    for name, bins_N in bins.items():
        edges = _bin_edges(name)
        counts = np.bincount(bins_N[rows][selected_n], minlength=len(edges) + 2)
        histograms[name] = Histogram(edges, tuple(counts[: len(edges) + 1].tolist()))
    return histograms


def _simulated_author(at_s: float, why: str) -> Author:
    return Author(who="simulation", why=why, at=f"{at_s:g} s")
