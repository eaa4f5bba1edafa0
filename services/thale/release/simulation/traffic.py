"""Traffic to rehearse a rollout with: recorded, one request a line, or drawn from a seed.

Plates come in series: one experiment sends 10 to 200 plates that resemble each other, and all of them go to one
version. Several are under way at once, between single plates that belong to nothing.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from thale.errors import ParameterError
from thale.schemas import Record

Floats = NDArray[np.float64]

_SERIES_PLATES = (10, 200)
_SINGLE = 0.3
_AT_ONCE = 8
_EMPTY_SERIES = 0.03
_EMPTY_PLATE = 0.01
_FAILED = 0.002
_RESEMBLANCE = 0.5
"""Share of the variance that lies between series, not within them."""


class RecordedRequest(Record):
    """One line of recorded traffic: what the stable version did, and how a good canary agrees with it."""

    at_s: float
    """Since the recording began."""
    experiment: str = ""
    """Empty: the request belongs to no series."""
    seconds: float
    failed: bool = False
    unknown: bool = False
    """Whether a trait is unknown although the scale is known."""
    outputs: dict[str, float] = {}
    """What was said, by the name of a reference: plants, root_area_mm2, root_confidence …"""
    agreement: dict[str, float] = {}
    """By the name of a reference: agreement_dice_root … (of a shadow, where there was one)."""


@dataclass(frozen=True)
class Traffic:
    """N requests in the order of time; NaN: nothing was said."""

    at_s_N: Floats
    place_N: Floats
    """Where a request lies in the split, 0 … 1: the canary answers those below its share. One place a series."""
    seconds_N: Floats
    failed_N: NDArray[np.bool_]
    unknown_N: NDArray[np.bool_]
    outputs: Mapping[str, Floats]
    agreement: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.at_s_N)


def read_traffic(path: Path) -> Traffic:
    """Read recorded traffic: JSON Lines of `RecordedRequest`.

    Raises:
        ParameterError: If the file cannot be read, or a line says something else, or there is none.
    """
    requests = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    requests.append(_parse(line, path, number))
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"recorded traffic cannot be read from {path}: {error}") from error
    if not requests:
        raise ParameterError(f"{path} holds no request")
    return as_traffic(requests)


def as_traffic(requests: Iterable[RecordedRequest]) -> Traffic:
    """Return recorded requests as traffic."""
    ordered = sorted(requests, key=lambda request: request.at_s)
    said = sorted({name for request in ordered for name in request.outputs})
    compared = sorted({name for request in ordered for name in request.agreement})
    return Traffic(
        at_s_N=np.array([request.at_s for request in ordered]),
        place_N=np.array([_place(request.experiment or f"#{number}") for number, request in enumerate(ordered)]),
        seconds_N=np.array([request.seconds for request in ordered]),
        failed_N=np.array([request.failed for request in ordered]),
        unknown_N=np.array([request.unknown for request in ordered]),
        outputs={name: np.array([request.outputs.get(name, np.nan) for request in ordered]) for name in said},
        agreement={name: np.array([request.agreement.get(name, np.nan) for request in ordered]) for name in compared},
    )


def draw_traffic(
    rng: np.random.Generator, requests_per_s: float, duration_s: float, resemblance: float = _RESEMBLANCE
) -> Traffic:
    """Draw traffic of seedling plates.

    Args:
        rng: Where chance comes from.
        requests_per_s: On average, at random moments.
        duration_s: For how long.
        resemblance: How much the plates of a series resemble each other: their share of the variance, 0 … 1.
    """
    count = int(rng.poisson(requests_per_s * duration_s))
    series_N = _draw_series(rng, count)
    kinds = int(series_N.max(initial=-1)) + 1

    def drawn() -> Floats:
        between, within = rng.normal(size=kinds)[series_N], rng.normal(size=count)
        return math.sqrt(resemblance) * between + math.sqrt(1 - resemblance) * within

    empty_N = (rng.random(kinds) < _EMPTY_SERIES)[series_N] | (rng.random(count) < _EMPTY_PLATE)
    plants_N = np.where(empty_N, 0, np.clip(np.round(5 + 1.5 * drawn()), 1, 12))
    age_N = drawn()
    hard_N = drawn()

    def where_grown(values_N: Floats) -> Floats:
        return np.where(empty_N, np.nan, values_N)

    return Traffic(
        at_s_N=np.sort(rng.random(count)) * duration_s,
        place_N=rng.random(kinds)[series_N],
        seconds_N=0.12 * np.exp(0.5 * drawn()),
        failed_N=rng.random(count) < _FAILED,
        unknown_N=rng.random(count) < 0.02,
        outputs={
            "plants": plants_N,
            "root_area_mm2": plants_N * 12 * np.exp(0.5 * age_N),
            "shoot_area_mm2": plants_N * 4 * np.exp(0.5 * age_N),
            "root_confidence": where_grown(np.clip(0.85 - 0.05 * hard_N, 0, 1)),
        },
        agreement={
            "agreement_dice_root": where_grown(np.clip(0.91 - 0.035 * hard_N, 0, 1)),
            "agreement_dice_shoot": where_grown(np.clip(0.95 - 0.02 * drawn(), 0, 1)),
        },
    )


def _draw_series(rng: np.random.Generator, count: int) -> NDArray[np.intp]:
    """Return the series of each request: several under way at once, in turns at random, single plates between."""
    series_N = np.zeros(count, np.intp)
    left = np.zeros(_AT_ONCE, np.intp)
    current = np.zeros(_AT_ONCE, np.intp)
    known = 0
    singles, turns = rng.random(count) < _SINGLE, rng.integers(_AT_ONCE, size=count)
    low, high = np.log(_SERIES_PLATES)
    lengths = np.exp(rng.uniform(low, high, size=count // _SERIES_PLATES[0] + _AT_ONCE + 1)).round().astype(int)
    for request in range(count):
        if singles[request]:
            series_N[request], known = known, known + 1
            continue
        turn = turns[request]
        if not left[turn]:
            current[turn], left[turn], known = known, lengths[known % len(lengths)], known + 1
        series_N[request] = current[turn]
        left[turn] -= 1
    return series_N


def _parse(line: str, path: Path, number: int) -> RecordedRequest:
    try:
        return RecordedRequest.model_validate_json(line)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ParameterError(f"{path}, line {number}: {faults}") from error


def _place(experiment: str) -> float:
    return int.from_bytes(hashlib.sha256(experiment.encode()).digest()[:8]) / 2**64
