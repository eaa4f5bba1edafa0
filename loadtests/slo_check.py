"""Were the promises of slo.toml kept? Judged on the requests of a load test, each limit with its numbers.

A promise is about a share: 99 of 100 answers in time, 999 of 1,000 without a failure. A short test sees a few dozen
requests, of which one slow answer is already more than 1 in 100. So a limit is broken where there are more misses than
the promise allows *and* more than chance explains: where a server that just keeps its promise would do as badly in
fewer than 1 of 20 tests (one-sided exact binomial test).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from scipy.stats import binom

from loadtests.samples import HOSTILE, Sample
from thale.slo import Slo
from thale.telemetry.labels import size_class

CHANCE = 0.05
_IN_TIME = 0.99


@dataclass(frozen=True)
class Finding:
    """One limit, and how it was kept."""

    limit: str
    requests: int
    misses: int
    allowed: float
    """Share of misses that the promise allows."""
    measured: str
    worst: str = ""

    @property
    def broken(self) -> bool:
        """Whether there are more misses than the promise and chance together explain."""
        return self.misses > self.allowed * self.requests and self.by_chance < CHANCE

    @property
    def by_chance(self) -> float:
        """Probability of so many misses, or more, where the promise is just kept."""
        return float(binom.sf(self.misses - 1, self.requests, self.allowed))

    @property
    def verdict(self) -> str:
        """`kept`, `broken`, or what else there is to say."""
        if self.requests == 0:
            return "not tested"
        if self.broken:
            return "BROKEN"
        return "kept" if self.misses <= self.allowed * self.requests else "kept (misses within chance)"


def judge(samples: Sequence[Sample], slo: Slo) -> list[Finding]:
    """Return a finding for each limit: availability, latency by class of image size, refusals of hostile requests."""
    honest = [sample for sample in samples if sample.size != HOSTILE]
    return [_availability(honest, slo), *_latencies(honest, slo), _refusals(samples)]


def _availability(samples: Sequence[Sample], slo: Slo) -> Finding:
    failed = [sample for sample in samples if sample.failed]
    share = 1 - len(failed) / len(samples) if samples else 1.0
    statuses = sorted({sample.status for sample in failed})
    return Finding(
        limit=f"availability {slo.availability:.1%}",
        requests=len(samples),
        misses=len(failed),
        allowed=1 - slo.availability,
        measured=f"{share:.2%}",
        worst=", ".join(f"{sum(s.status == status for s in failed)} x {status or 'no answer'}" for status in statuses),
    )


def _latencies(samples: Sequence[Sample], slo: Slo) -> list[Finding]:
    findings = []
    for latency in slo.latency:
        size = size_class(latency.up_to_megapixels)
        seconds = [sample.seconds for sample in samples if sample.size == size and sample.answered]
        findings.append(
            Finding(
                limit=f"p99 of {size} <= {latency.p99_s:g} s",
                requests=len(seconds),
                misses=sum(spent > latency.p99_s for spent in seconds),
                allowed=1 - _IN_TIME,
                measured=f"p50 {np.median(seconds):.2f} s, p99 {np.quantile(seconds, _IN_TIME):.2f} s"
                if seconds
                else "",
                worst=f"{max(seconds):.2f} s" if seconds else "",
            )
        )
    return findings


def _refusals(samples: Sequence[Sample]) -> Finding:
    """No hostile request may be answered otherwise than it must be: one is one too many."""
    hostile = [sample for sample in samples if sample.size == HOSTILE]
    wrong = [sample for sample in hostile if sample.fault]
    return Finding(
        limit="hostile requests refused properly and soon",
        requests=len(hostile),
        misses=len(wrong),
        allowed=0.0,
        measured=f"{len(hostile) - len(wrong)} of {len(hostile)}",
        worst="; ".join(sorted({f"{sample.name}: {sample.fault}" for sample in wrong})[:3]),
    )


def table(findings: Sequence[Finding]) -> Table:
    """Return the findings as a table for the terminal."""
    shown = Table(title="Limits of services/thale/slo.toml")
    for column in ("Limit", "Requests", "Misses", "Measured", "Worst", "Verdict"):
        shown.add_column(column, justify="right" if column in ("Requests", "Misses") else "left")
    for finding in findings:
        colour = "red" if finding.broken else "yellow" if finding.requests == 0 else "green"
        cells = (finding.limit, str(finding.requests), str(finding.misses), finding.measured, finding.worst)
        shown.add_row(*cells, f"[{colour}]{finding.verdict}[/]")
    return shown
