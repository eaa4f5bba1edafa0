"""SLO checks of a load test: each objective of slo.toml with its measured values and a verdict.

An objective is a proportion: 99 % of responses in time, 99.9 % without a failure. In a short test of a few dozen
requests, one slow response is more than 1 %. An objective is therefore violated only if two conditions hold. The misses
exceed the allowance, and a one-sided exact binomial test rejects chance at the level of 5 %. A server that just meets
its objective then fails fewer than 1 of 20 tests (docs/adr/0067-slo-checks-by-exact-binomial-test.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from scipy.stats import binom

from loadtests.samples import HOSTILE, RequestSample
from thale.slo import Slo
from thale.telemetry.labels import size_class

SIGNIFICANCE_LEVEL = 0.05
_LATENCY_SLO_RATIO = 0.99


@dataclass(frozen=True)
class SloResult:
    """Result of the check of one objective."""

    objective: str
    requests: int
    misses: int
    allowed_ratio: float
    """Ratio of misses that the objective allows."""
    measured: str
    worst: str = ""

    @property
    def is_violated(self) -> bool:
        """True if the misses exceed the allowance significantly."""
        return self.misses > self.allowed_ratio * self.requests and self.p_value < SIGNIFICANCE_LEVEL

    @property
    def p_value(self) -> float:
        """Probability of this number of misses or more if the objective is just met."""
        return float(binom.sf(self.misses - 1, self.requests, self.allowed_ratio))

    @property
    def verdict(self) -> str:
        """`met`, `met (misses within chance)`, `VIOLATED` or `not tested`."""
        if self.requests == 0:
            return "not tested"
        if self.is_violated:
            return "VIOLATED"
        return "met" if self.misses <= self.allowed_ratio * self.requests else "met (misses within chance)"


def check_slos(samples: Sequence[RequestSample], slo: Slo) -> list[SloResult]:
    """Return a result for each objective: availability, latency by size class, rejection of hostile requests."""
    regular_samples = [sample for sample in samples if sample.size != HOSTILE]
    return [
        _check_availability(regular_samples, slo),
        *_check_latencies(regular_samples, slo),
        _check_hostile_requests(samples),
    ]


def _check_availability(samples: Sequence[RequestSample], slo: Slo) -> SloResult:
    failed = [sample for sample in samples if sample.is_server_failure]
    success_ratio = 1 - len(failed) / len(samples) if samples else 1.0
    statuses = sorted({sample.status for sample in failed})
    return SloResult(
        objective=f"availability {slo.availability:.1%}",
        requests=len(samples),
        misses=len(failed),
        allowed_ratio=1 - slo.availability,
        measured=f"{success_ratio:.2%}",
        worst=", ".join(
            f"{sum(s.status == status for s in failed)} x {status or 'no response'}" for status in statuses
        ),
    )


def _check_latencies(samples: Sequence[RequestSample], slo: Slo) -> list[SloResult]:
    results = []
    for latency in slo.latency:
        size = size_class(latency.up_to_megapixels)
        durations_s = [sample.duration_s for sample in samples if sample.size == size and sample.is_success]
        results.append(
            SloResult(
                objective=f"p99 of {size} <= {latency.p99_s:g} s",
                requests=len(durations_s),
                misses=sum(duration_s > latency.p99_s for duration_s in durations_s),
                allowed_ratio=1 - _LATENCY_SLO_RATIO,
                measured=f"p50 {np.median(durations_s):.2f} s, p99 {np.quantile(durations_s, _LATENCY_SLO_RATIO):.2f} s"
                if durations_s
                else "",
                worst=f"{max(durations_s):.2f} s" if durations_s else "",
            )
        )
    return results


def _check_hostile_requests(samples: Sequence[RequestSample]) -> SloResult:
    """Return the result of the hostile requests. No unexpected response is allowed."""
    hostile = [sample for sample in samples if sample.size == HOSTILE]
    unexpected = [sample for sample in hostile if sample.error]
    return SloResult(
        objective="hostile requests rejected as specified and in time",
        requests=len(hostile),
        misses=len(unexpected),
        allowed_ratio=0.0,
        measured=f"{len(hostile) - len(unexpected)} of {len(hostile)}",
        worst="; ".join(sorted({f"{sample.name}: {sample.error}" for sample in unexpected})[:3]),
    )


def results_table(results: Sequence[SloResult], source: str = "services/thale/slo/slo.toml") -> Table:
    """Return the results as a table for the terminal. `source` is the file of the objectives."""
    rendered = Table(title=f"Objectives of {source}")
    for column in ("Objective", "Requests", "Misses", "Measured", "Worst", "Verdict"):
        rendered.add_column(column, justify="right" if column in ("Requests", "Misses") else "left")
    for result in results:
        colour = "red" if result.is_violated else "yellow" if result.requests == 0 else "green"
        cells = (result.objective, str(result.requests), str(result.misses), result.measured, result.worst)
        rendered.add_row(*cells, f"[{colour}]{result.verdict}[/]")
    return rendered
