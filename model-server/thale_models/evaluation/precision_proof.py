"""Proof that a lower precision of a network keeps the traits: no error grows by more than a tenth of its tolerance.

The traits of the same plates are measured in both precisions, and compared with the ground truth in units of the
tolerance (`traits.tolerance`). The growth of a trait is the mean difference between both errors. Its upper limit is
one-sided at 95 %, with plates as independent samples. The limit counts, so that few plates cannot prove anything.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from thale.phenotyping.traits.tolerance import max_error
from thale_models.evaluation.trait_records import TraitRecord

MAX_GROWTH = 0.1
"""Largest growth of an error, in tolerances."""
MIN_PLATES = 20
_MAX_ERROR = 2.0
"""Limit of one error in tolerances. A value that far off is wrong, and its size says nothing about the precision. A
value that is missing in the lower precision alone has this error."""
_Z_95 = 1.645


@dataclass(frozen=True)
class TraitGrowth:
    """Errors of a trait in both precisions, in tolerances, and the growth with its upper limit."""

    trait: str
    values: int
    reference_error: float
    candidate_error: float
    growth: float
    upper_limit: float

    @property
    def is_accepted(self) -> bool:
        """True if the growth is proven to be small enough."""
        return self.upper_limit <= MAX_GROWTH


def compare_precisions(reference: Sequence[TraitRecord], candidate: Sequence[TraitRecord]) -> list[TraitGrowth]:
    """Return the growth of the error of each trait, the largest upper limit first.

    Args:
        reference: Records in float32.
        candidate: Records of the same plates in the lower precision.
    """
    before, after = _errors_by_trait(reference), _errors_by_trait(candidate)
    growths = [_growth(trait, before[trait], after.get(trait, {})) for trait in before]
    return sorted(growths, key=lambda growth: -growth.upper_limit)


def _errors_by_trait(records: Sequence[TraitRecord]) -> dict[str, dict[tuple[str, int], list[float]]]:
    """Return the errors of the measured values with a true value, by trait and by copy of a plate."""
    errors: dict[str, dict[tuple[str, int], list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        for trait, (value, true, _) in record.values.items():
            if math.isfinite(value) and math.isfinite(true):
                errors[trait][record.plate, record.copy].append(_error(trait, value, true))
    return errors


def _error(trait: str, value: float, true: float) -> float:
    difference, tolerance = abs(value - true), max_error(trait, true)
    if difference >= _MAX_ERROR * tolerance:
        return _MAX_ERROR if difference > 0 else 0.0
    return difference / tolerance


def _growth(
    trait: str,
    before: Mapping[tuple[str, int], Sequence[float]],
    after: Mapping[tuple[str, int], Sequence[float]],
) -> TraitGrowth:
    """Return the growth over the plates of the reference. A value that disappeared has the largest error."""
    sums: dict[str, float] = defaultdict(float)
    references = candidates = 0.0
    values = sum(len(errors) for errors in before.values())
    for key, errors in before.items():
        found = list(after.get(key, ()))
        found += [_MAX_ERROR] * (len(errors) - len(found))
        mean = float(np.mean(found))  # additional plants are not counted
        references += sum(errors)
        candidates += mean * len(errors)
        sums[key[0]] += mean * len(errors) - sum(errors)
    differences = np.array(list(sums.values()))
    plates = len(differences)
    growth = float(differences.sum()) / values
    spread = float(differences.std(ddof=1)) * math.sqrt(plates) / values if plates > 1 else math.inf
    limit = growth + _Z_95 * spread if plates >= MIN_PLATES else math.inf
    return TraitGrowth(trait, values, references / values, candidates / values, growth, limit)
