"""Traffic of a simulated rollout: recorded (one request per line) or sampled from a seed.

Plates come in series. An experiment sends 10 to 200 correlated plates, and all of them go to one version. Several
series are in progress at the same time, between single plates without a series.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from thale.errors import ParameterError, describe_validation_error
from thale.schemas import FrozenModel

Floats = NDArray[np.float64]

_SERIES_PLATES = (10, 200)
_SINGLE_PLATE_FRACTION = 0.3
_CONCURRENT_SERIES = 8
_EMPTY_SERIES_FRACTION = 0.03
_EMPTY_PLATE_FRACTION = 0.01
_FAILURE_RATE = 0.002
_INTRACLASS_CORRELATION = 0.5
"""Fraction of the variance that is between series."""


class RecordedRequest(FrozenModel):
    """One line of recorded traffic: a request of stable, and the agreement of a good canary with it."""

    at_s: float
    """Time since the start of the recording, in seconds."""
    experiment: str = ""
    """Name of the series. Empty: a single plate."""
    seconds: float
    """Response time."""
    failed: bool = False
    has_missing_trait: bool = False
    """True if a trait is missing although the scale is known."""
    outputs: dict[str, float] = {}
    """Plate statistics, by the name of a card reference: plants, root_area_mm2, root_confidence …"""
    agreement: dict[str, float] = {}
    """Agreement scores of the shadow, by the name of a card reference: agreement_dice_root …"""


@dataclass(frozen=True)
class Traffic:
    """N requests in order of time. NaN: no value."""

    at_s_N: Floats
    hash_fraction_N: Floats
    """Position of a request in the traffic split, 0 … 1. The canary serves positions below its weight."""
    seconds_N: Floats
    failed_N: NDArray[np.bool_]
    missing_trait_N: NDArray[np.bool_]
    outputs: Mapping[str, Floats]
    agreement: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.at_s_N)


def read_traffic(path: Path) -> Traffic:
    """Read recorded traffic: JSON Lines of `RecordedRequest`.

    Raises:
        ParameterError: If the file cannot be read, has an invalid line, or has no request.
    """
    requests = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    requests.append(_parse_line(line, path, number))
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"recorded traffic cannot be read from {path}: {error}") from error
    if not requests:
        raise ParameterError(f"{path} has no requests")
    return to_traffic(requests)


def to_traffic(requests: Iterable[RecordedRequest]) -> Traffic:
    """Return recorded requests as traffic."""
    ordered = sorted(requests, key=lambda request: request.at_s)
    output_names = sorted({name for request in ordered for name in request.outputs})
    agreement_names = sorted({name for request in ordered for name in request.agreement})
    return Traffic(
        at_s_N=np.array([request.at_s for request in ordered]),
        hash_fraction_N=np.array(
            [_hash_fraction(request.experiment or f"#{number}") for number, request in enumerate(ordered)]
        ),
        seconds_N=np.array([request.seconds for request in ordered]),
        failed_N=np.array([request.failed for request in ordered]),
        missing_trait_N=np.array([request.has_missing_trait for request in ordered]),
        outputs={name: np.array([request.outputs.get(name, np.nan) for request in ordered]) for name in output_names},
        agreement={
            name: np.array([request.agreement.get(name, np.nan) for request in ordered]) for name in agreement_names
        },
    )


def sample_traffic(
    rng: np.random.Generator,
    requests_per_s: float,
    duration_s: float,
    intraclass_correlation: float = _INTRACLASS_CORRELATION,
) -> Traffic:
    """Sample traffic of seedling plates.

    Args:
        rng: Random generator.
        requests_per_s: Mean request rate of the Poisson process.
        duration_s: Duration of the traffic in seconds.
        intraclass_correlation: Fraction of the variance that is between series, from 0 to 1.
    """
    count = int(rng.poisson(requests_per_s * duration_s))
    series_N = _sample_series(rng, count)
    series_count = int(series_N.max(initial=-1)) + 1

    def sample_normal() -> Floats:
        between, within = rng.normal(size=series_count)[series_N], rng.normal(size=count)
        return math.sqrt(intraclass_correlation) * between + math.sqrt(1 - intraclass_correlation) * within

    empty_N = (rng.random(series_count) < _EMPTY_SERIES_FRACTION)[series_N] | (
        rng.random(count) < _EMPTY_PLATE_FRACTION
    )
    plants_N = np.where(empty_N, 0, np.clip(np.round(5 + 1.5 * sample_normal()), 1, 12))
    age_N = sample_normal()
    difficulty_N = sample_normal()

    def nan_where_empty(values_N: Floats) -> Floats:
        return np.where(empty_N, np.nan, values_N)

    return Traffic(
        at_s_N=np.sort(rng.random(count)) * duration_s,
        hash_fraction_N=rng.random(series_count)[series_N],
        seconds_N=0.12 * np.exp(0.5 * sample_normal()),
        failed_N=rng.random(count) < _FAILURE_RATE,
        missing_trait_N=rng.random(count) < 0.02,
        outputs={
            "plants": plants_N,
            "root_area_mm2": plants_N * 12 * np.exp(0.5 * age_N),
            "shoot_area_mm2": plants_N * 4 * np.exp(0.5 * age_N),
            "root_confidence": nan_where_empty(np.clip(0.85 - 0.05 * difficulty_N, 0, 1)),
        },
        agreement={
            "agreement_dice_root": nan_where_empty(np.clip(0.91 - 0.035 * difficulty_N, 0, 1)),
            "agreement_dice_shoot": nan_where_empty(np.clip(0.95 - 0.02 * sample_normal(), 0, 1)),
        },
    )


def _sample_series(rng: np.random.Generator, count: int) -> NDArray[np.intp]:
    """Return the series of each request: concurrent series in random order, with single plates between them."""
    series_N = np.zeros(count, np.intp)
    remaining = np.zeros(_CONCURRENT_SERIES, np.intp)
    current = np.zeros(_CONCURRENT_SERIES, np.intp)
    next_series = 0
    is_single_N, slot_N = rng.random(count) < _SINGLE_PLATE_FRACTION, rng.integers(_CONCURRENT_SERIES, size=count)
    low, high = np.log(_SERIES_PLATES)
    lengths = (
        np.exp(rng.uniform(low, high, size=count // _SERIES_PLATES[0] + _CONCURRENT_SERIES + 1)).round().astype(int)
    )
    for request in range(count):
        if is_single_N[request]:
            series_N[request], next_series = next_series, next_series + 1
            continue
        slot = slot_N[request]
        if not remaining[slot]:
            current[slot], remaining[slot] = next_series, lengths[next_series % len(lengths)]
            next_series += 1
        series_N[request] = current[slot]
        remaining[slot] -= 1
    return series_N


def _parse_line(line: str, path: Path, number: int) -> RecordedRequest:
    try:
        return RecordedRequest.model_validate_json(line)
    except ValidationError as error:
        raise ParameterError(f"{path}, line {number}: {describe_validation_error(error)}") from error


def _hash_fraction(experiment: str) -> float:
    return int.from_bytes(hashlib.sha256(experiment.encode()).digest()[:8]) / 2**64
