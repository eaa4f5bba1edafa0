"""What was sent and what came back, a row a request: written by locust's process, read by who judges and draws."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

HOSTILE = "hostile"
NO_RESPONSE = 0
"""The status of a request that was not answered at all."""


@dataclass(frozen=True)
class RequestSample:
    """One request."""

    at_s: float
    """When it was sent, since the first one."""
    scenario: str
    name: str
    size: str
    """The image's class of size; `hostile` for a request that must be refused; empty where there is no image."""
    status: int
    duration_s: float
    error: str = ""
    """What is wrong with the answer, where that can be told from the answer alone."""

    @property
    def is_success(self) -> bool:
        """Whether the image was measured."""
        return self.status == 200

    @property
    def is_server_failure(self) -> bool:
        """Whether the server failed the user: no answer, or a 5xx (503 for overload included)."""
        return self.status == NO_RESPONSE or self.status >= 500


def write_samples(path: Path, samples: Iterable[RequestSample]) -> None:
    """Write a CSV in the order in which the requests were sent, beginning at zero."""
    ordered = sorted(samples, key=lambda sample: sample.at_s)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, [field.name for field in fields(RequestSample)])
        rows.writeheader()
        for sample in ordered:
            rows.writerow(asdict(sample) | {"at_s": f"{sample.at_s - ordered[0].at_s:.4f}"})


def read_samples(path: Path) -> Sequence[RequestSample]:
    """Read what `write` wrote."""
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
