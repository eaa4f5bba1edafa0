"""A rollout rehearsed: traffic with faults, through the real plan and the real judge, before anybody is exposed.

Only the facades are played here: who answers, what the counters show every poll, that a canary's failure is answered
by the stable version, and that the canary sees copies of what the stable version answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thale.monitoring.histogram import Binned
from thale.release.judge.analysis_state import Trial
from thale.release.judge.judge import judge
from thale.release.judge.version_metrics import VersionSignals, Window
from thale.release.lifecycle import transitions
from thale.release.lifecycle.transitions import Signature
from thale.release.simulation.traffic import Floats, Traffic
from thale.schemas import Record, Release, ReleasedVersion
from thale.slo import Slo
from thale.telemetry import metrics

_OUTAGE_S = 5.0
_EDGES = {
    "seconds": metrics.SECONDS,
    "plants": tuple(float(plants) for plants in range(17)),
    "area_mm2": (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 35.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 400.0, 600.0, 1200.0),
    "dice": metrics.DICE,
    "": metrics.TWENTIETHS,
}
"""Edges of the bins, by a word in the signal's name; the last for whatever lies between 0 and 1.

Those of plants and areas reach as far as the plates that are drawn here, not as far as the facades count.
"""


class Faults(Record):
    """What is wrong with the canary, from `begins_s` on."""

    begins_s: float = 0.0
    error_rate: float = 0.0
    """Share of its answers that fail."""
    latency_factor: float = 1.0
    """How much longer its answers take."""
    dice_drop: float = 0.0
    """How much less its masks agree with the stable version's."""
    all_background: bool = False
    """Whether it finds no plant on any plate."""
    death_every_s: float = 0.0
    """How often its worker dies; it is away for 5 s then. 0: never."""


class Stage(Record):
    """When the canary's share became what, since the beginning."""

    at_s: float
    weight_percent: float


class Rehearsal(Record):
    """How a rehearsed rollout ended."""

    outcome: Literal["promoted", "rolled back", "undecided"]
    """Undecided: the traffic ended first."""
    seconds: float
    """Until the outcome, since the beginning."""
    canary_answers: int
    """Answers to users that came from the canary."""
    bad_answers: int
    """Of these, how many a fault had touched: users saw them."""
    fallbacks: int
    """Requests that the stable version answered in the canary's place: users saw nothing of it."""
    stages: tuple[Stage, ...]
    reasons: tuple[str, ...]
    """The last verdict's."""


@dataclass(frozen=True)
class _Faulty:
    """The canary's side of the traffic, request by request."""

    failed_N: NDArray[np.bool_]
    touched_N: NDArray[np.bool_]
    seconds_N: Floats
    outputs: dict[str, Floats]
    agreement: dict[str, Floats]


def simulate(
    release: Release,
    canary: ReleasedVersion,
    traffic: Traffic,
    faults: Faults,
    slo: Slo,
    rng: np.random.Generator,
    *,
    poll_s: float = 0.5,
    shadowed: float = 1.0,
) -> Rehearsal:
    """Rehearse the rollout of a canary.

    Args:
        release: The release before, without a canary.
        canary: The version to try; its card's references are what the judge expects.
        traffic: The requests.
        faults: What is wrong with the canary.
        slo: The judge's limits.
        rng: Where the canary's own failures come from.
        poll_s: How often the facades' counters are read.
        shadowed: Share of the stable version's requests that the canary sees copies of; 0: it is no shadow.

    Raises:
        PlanError: If the release cannot have this canary.
    """
    now = transitions.canary(release, canary, _signature(0.0, "rehearsal"), shadow=shadowed > 0)
    trial, stages = Trial.begin(now), [Stage(at_s=0.0, weight_percent=now.weight_percent)]
    counters = _Counters(traffic, _apply(faults, traffic, rng), rng.random(len(traffic)) < shadowed)
    answers, bad, fallbacks = 0, 0, 0
    outcome: Literal["promoted", "rolled back", "undecided"] = "undecided"
    at_s, begin = 0.0, 0
    reasons: tuple[str, ...] = ("there was no traffic",)
    while begin < len(traffic) and outcome == "undecided":
        at_s += poll_s
        end = int(np.searchsorted(traffic.at_s_N, at_s))
        window, seen, touched = counters.between(begin, end, now.weight_percent)
        answers, bad, fallbacks = answers + seen, bad + touched, fallbacks + sum(window.canary.fallbacks.values())
        begin = end
        trial = trial.heard(now, window, slo)
        verdict = judge(now, trial, slo)
        reasons = verdict.reasons
        if verdict.decision == "roll back":
            transitions.roll_back(now, _signature(at_s, reasons[0]))
            outcome = "rolled back"
        elif verdict.decision == "promote" and now.weight_percent == now.steps[-1]:
            transitions.promote(now, _signature(at_s, reasons[0]))
            outcome = "promoted"
        elif verdict.decision == "promote":
            now = transitions.step(now, _signature(at_s, reasons[0]))
            stages.append(Stage(at_s=at_s, weight_percent=now.weight_percent))
    return Rehearsal(
        outcome=outcome,
        seconds=at_s,
        canary_answers=answers,
        bad_answers=bad,
        fallbacks=fallbacks,
        stages=tuple(stages),
        reasons=reasons,
    )


def _apply(faults: Faults, traffic: Traffic, rng: np.random.Generator) -> _Faulty:
    """Return what the canary does: as the stable version does, but with failures and faults of its own."""
    begun_N = traffic.at_s_N >= faults.begins_s
    failed_N = rng.permutation(traffic.failed_N) | (begun_N & (rng.random(len(traffic)) < faults.error_rate))
    if faults.death_every_s:
        failed_N |= begun_N & ((traffic.at_s_N - faults.begins_s) % faults.death_every_s < _OUTAGE_S)
    outputs, agreement = dict(traffic.outputs), dict(traffic.agreement)
    for name, values_N in agreement.items():
        if "_dice_" in name:
            worse_N = np.clip(values_N - faults.dice_drop, 0, 1)
            worst_N = np.where(np.isnan(values_N), np.nan, 0.0) if faults.all_background else worse_N
            agreement[name] = np.where(begun_N, worst_N, values_N)
    if faults.all_background:
        for name, values_N in outputs.items():
            outputs[name] = np.where(begun_N, np.nan if "confidence" in name or name == "score" else 0.0, values_N)
    touched = faults.all_background or faults.dice_drop > 0 or faults.latency_factor != 1
    return _Faulty(
        failed_N=failed_N,
        touched_N=begun_N & touched,
        seconds_N=np.where(begun_N, traffic.seconds_N * faults.latency_factor, traffic.seconds_N),
        outputs=outputs,
        agreement=agreement,
    )


class _Counters:
    """What the facades' counters show of a stretch of traffic."""

    def __init__(self, traffic: Traffic, canary: _Faulty, mirrored_N: NDArray[np.bool_]) -> None:
        self._traffic, self._canary, self._mirrored_N = traffic, canary, mirrored_N
        said = {"seconds": traffic.seconds_N, **traffic.outputs}
        says = {"seconds": canary.seconds_N, **canary.outputs}
        self._stable_bins = {name: _bins(name, values_N) for name, values_N in said.items()}
        self._canary_bins = {name: _bins(name, values_N) for name, values_N in says.items()}
        self._agreement_bins = {name: _bins(name, values_N) for name, values_N in canary.agreement.items()}

    def between(self, begin: int, end: int, weight_percent: float) -> tuple[Window, int, int]:
        """Return the window of requests begin … end, and how many the canary answered, and of these with a fault."""
        traffic, canary, part = self._traffic, self._canary, slice(begin, end)
        to_canary_n = traffic.place_N[part] < weight_percent / 100
        missed_n = to_canary_n & canary.failed_N[part]
        answered_n = to_canary_n & ~missed_n
        to_stable_n = ~answered_n
        failed_n = to_stable_n & traffic.failed_N[part]
        good_n = to_stable_n & ~failed_n
        mirrored_n = good_n & ~missed_n & self._mirrored_N[part]
        shadow_failed = int((mirrored_n & canary.failed_N[part]).sum())
        compared_n = mirrored_n & ~canary.failed_N[part]
        answers = int(answered_n.sum())
        window = Window(
            canary=VersionSignals(
                requests={"ok": answers, "failed": int(missed_n.sum())},
                fallbacks={"failed": int((missed_n & good_n).sum())},
                shadow_requests={"ok": int(compared_n.sum()), "failed": shadow_failed},
                plates=answers,
                empty=_empty(canary.outputs, part, answered_n),
                nan=int(traffic.unknown_N[part][answered_n].sum()),
                histograms={
                    **_count(self._canary_bins, part, answered_n),
                    **_count(self._agreement_bins, part, compared_n),
                },
            ),
            stable=VersionSignals(
                requests={"ok": int(good_n.sum()), "failed": int(failed_n.sum())},
                plates=int(good_n.sum()),
                empty=_empty(traffic.outputs, part, good_n),
                nan=int(traffic.unknown_N[part][good_n].sum()),
                histograms=_count(self._stable_bins, part, good_n),
            ),
        )
        return window, answers, int((answered_n & canary.touched_N[part]).sum())


def _empty(outputs: Mapping[str, Floats], part: slice, chosen_n: NDArray[np.bool_]) -> int:
    plants_N = outputs.get("plants")
    return 0 if plants_N is None else int((plants_N[part][chosen_n] == 0).sum())


def _edges(name: str) -> tuple[float, ...]:
    return next(edges for word, edges in _EDGES.items() if word in name)


def _bins(name: str, values_N: Floats) -> NDArray[np.intp]:
    """Return the bin of every value; one bin more for NaN."""
    edges = _edges(name)
    return np.where(np.isnan(values_N), len(edges) + 1, np.searchsorted(edges, values_N))


def _count(bins: dict[str, NDArray[np.intp]], part: slice, chosen_n: NDArray[np.bool_]) -> dict[str, Binned]:
    if not chosen_n.any():
        return {}
    counted = {}
    for name, bins_N in bins.items():
        edges = _edges(name)
        counts = np.bincount(bins_N[part][chosen_n], minlength=len(edges) + 2)
        counted[name] = Binned(edges, tuple(counts[: len(edges) + 1].tolist()))
    return counted


def _signature(at_s: float, why: str) -> Signature:
    return Signature(who="rehearsal", why=why, at=f"{at_s:g} s")
