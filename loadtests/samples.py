"""Samples of a load test: one row per request, written by the locust process, read by SLO checks and report."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

HOSTILE = "hostile"
NO_RESPONSE = 0
"""Status of a request without a response."""


@dataclass(frozen=True)
class RequestSample:
    """One request."""

    at_s: float
    """Send time since the first request."""
    scenario: str
    name: str
    size: str
    """Size class of the image; `hostile` for a request that must be rejected; empty without an image."""
    status: int
    duration_s: float
    error: str = ""
    """A missing Retry-After, or the difference of a hostile request's response from the expected one. Empty without."""

    @property
    def is_success(self) -> bool:
        """True if the response is 200."""
        return self.status == 200

    @property
    def is_server_failure(self) -> bool:
        """True for no response or a 5xx, including 503 on overload."""
        return self.status == NO_RESPONSE or self.status >= 500


def write_samples(path: Path, samples: Iterable[RequestSample]) -> None:
    """Write a CSV in the order of the send times, which begin at zero."""
    ordered = sorted(samples, key=lambda sample: sample.at_s)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, [field.name for field in fields(RequestSample)])
        rows.writeheader()
        for sample in ordered:
            rows.writerow(asdict(sample) | {"at_s": f"{sample.at_s - ordered[0].at_s:.4f}"})


def read_samples(path: Path) -> Sequence[RequestSample]:
    """Read a CSV of `write_samples`."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            RequestSample(
                at_s=float(row["at_s"]),
                scenario=row["scenario"],
                name=row["name"],
                size=row["size"],
                status=int(row["status"]),
                duration_s=float(row["duration_s"]),
                error=row["error"],
            )
            for row in csv.DictReader(file)
        ]
