"""Fit of the error model on trait records of synthetic plates.

Five folds of plates give risks of plates that were not in the fit: these risks set the bins, the intervals and the
limit of `ok`. All copies of a plate are in the same fold. The fit is deterministic.

For the scores, the whole fit is repeated on four fifths of the plates, and grades the others (ADR 0127).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from thale.phenotyping.quality.error_model import MAX_DEVIATION, ErrorModel, TraitErrorModel
from thale.phenotyping.quality.features import EVIDENCE_FLAGS
from thale.phenotyping.traits.tolerance import error_unit, is_right
from thale_models.evaluation.effective_risks import RecordKey, key_of, select_limits
from thale_models.evaluation.trait_records import TraitRecord

COVERAGE = 0.9
FOLDS = 5
_PENALTIES = (5.0, 15.0, 50.0, 150.0)
"""Ridge penalties of the coefficients. The one with the smallest logistic loss on held-out plates is used."""
_REASSURING = {
    "tip_score", "base_score", "primary_mean_probability", "primary_min_probability", "lateral_mean_probability",
    "lateral_min_probability", "ridge_support", "contrast", "contrast_to_background", "image_confidence", "spacing_mm",
    "exchange_margin", "primary_margin", "weakest_lateral", "shoot_confidence",
}  # fmt: skip
"""Features that only lower the risk."""
_NEUTRAL = {
    "primary_mm",
    "laterals",
    "lateral_mm",
    "frame_factor",
    "angle",
    "longest_lateral_share",
    "shoot_mm2",
    "no_laterals",
}
"""Features that may lower or raise the risk. All others only raise it."""
_MAX_BINS = 6
_MIN_BIN_RECORDS = 40
_MIN_RECORDS = 60


@dataclass(frozen=True)
class _Samples:
    """The records of one trait: scaled features, measured and true values, and the fold of the plate."""

    features_NF: NDArray[np.float64]
    measured: NDArray[np.float64]
    true: NDArray[np.float64]
    is_wrong: NDArray[np.bool_]
    fold: NDArray[np.int64]


@dataclass(frozen=True)
class _FittedTrait:
    """The error model of a trait, and the risks of its records on held-out plates."""

    model: TraitErrorModel
    risks: NDArray[np.float64]


def split_plates(records: Sequence[TraitRecord], fold: int) -> tuple[list[TraitRecord], list[TraitRecord]]:
    """Return the records of the plates for a fit, and those of every fifth plate for its test. `fold` is 0 to 4."""
    folds = _fold_of_plates(records)
    return [r for r in records if folds[r.plate] != fold], [r for r in records if folds[r.plate] == fold]


def _fold_of_plates(records: Sequence[TraitRecord]) -> dict[str, int]:
    return {plate: index % FOLDS for index, plate in enumerate(sorted({record.plate for record in records}))}


def fit_error_model(records: Sequence[TraitRecord], weights: tuple[str, str], data: str) -> ErrorModel:
    """Return the error model that is fitted on records.

    Traits with fewer than 60 records, or with fewer than 5 wrong or right values, get no error model.

    Args:
        records: Records of the plates for the fit.
        weights: Digests of the weights of the segmentation model and of the landmark model.
        data: Description of the plates.
    """
    names = tuple(sorted(records[0].features))
    plants = [record for record in records if record.plant is not None]
    matrix = np.array([[record.features[name] for name in names] for record in plants])
    means, deviations = matrix.mean(axis=0), np.maximum(matrix.std(axis=0), 1e-3)
    folds = _fold_of_plates(records)
    traits: dict[str, _FittedTrait] = {}
    for trait in dict.fromkeys(name for record in records for name in record.values):
        samples = _samples(trait, records, names, means, deviations, folds)
        if len(samples.measured) >= _MIN_RECORDS and 5 <= samples.is_wrong.sum() <= len(samples.measured) - 5:
            traits[trait] = _fit_trait(trait, samples, names)
    risks: dict[RecordKey, dict[str, float]] = {key_of(record): {} for record in records}
    for trait, fitted in traits.items():
        for record, risk in zip((r for r in records if trait in r.values), fitted.risks, strict=True):
            risks[key_of(record)][trait] = float(risk)
    model = ErrorModel(
        segmentation_weights=weights[0],
        landmarks_weights=weights[1],
        coverage=COVERAGE,
        features=names,
        means=_rounded(means),
        deviations=_rounded(deviations),
        traits={trait: fitted.model for trait, fitted in traits.items()},
        evidence_flags=EVIDENCE_FLAGS,
        data=data,
    )
    return _with_limits(model, select_limits(records, risks, EVIDENCE_FLAGS, tuple(traits)))


def _with_limits(model: ErrorModel, limits: Mapping[str, float]) -> ErrorModel:
    traits = {name: trait.model_copy(update={"max_ok_risk": limits[name]}) for name, trait in model.traits.items()}
    return model.model_copy(update={"traits": traits})


def _samples(
    trait: str,
    records: Sequence[TraitRecord],
    names: Sequence[str],
    means: NDArray[np.float64],
    deviations: NDArray[np.float64],
    folds: Mapping[str, int],
) -> _Samples:
    chosen = [record for record in records if trait in record.values]
    values = np.array([[record.features[name] for name in names] for record in chosen])
    pairs = [record.values[trait] for record in chosen]
    return _Samples(
        features_NF=np.clip((values - means) / deviations, -MAX_DEVIATION, MAX_DEVIATION),
        measured=np.array([pair[0] for pair in pairs]),
        true=np.array([pair[1] for pair in pairs]),
        is_wrong=np.array([not is_right(trait, pair[0], pair[1]) for pair in pairs]),
        fold=np.array([folds[record.plate] for record in chosen]),
    )


def _fit_trait(trait: str, samples: _Samples, names: Sequence[str]) -> _FittedTrait:
    candidates = {penalty: _held_out_risks(samples, names, penalty) for penalty in _PENALTIES}
    penalty = min(candidates, key=lambda each: _logistic_loss(candidates[each], samples.is_wrong))
    risks = candidates[penalty]
    parameters = _fit_logistic(samples.features_NF, samples.is_wrong, names, penalty)
    bounds, low, high = _intervals(trait, samples, risks)
    model = TraitErrorModel(
        coefficients=_rounded(parameters[1:]),
        intercept=round(float(parameters[0]), 6),
        max_ok_risk=0.0,
        risk_bounds=bounds,
        low=low,
        high=high,
    )
    return _FittedTrait(model, risks)


def _held_out_risks(samples: _Samples, names: Sequence[str], penalty: float) -> NDArray[np.float64]:
    """Return the risk of each record by a regression on the plates of the other folds."""
    risks = np.empty(len(samples.measured))
    for fold in range(FOLDS):
        held_out = samples.fold == fold
        others = _fit_logistic(samples.features_NF[~held_out], samples.is_wrong[~held_out], names, penalty)
        risks[held_out] = _risk(samples.features_NF[held_out], others)
    return risks


def _logistic_loss(risks: NDArray[np.float64], is_wrong: NDArray[np.bool_]) -> float:
    return -float(np.log(np.clip(np.where(is_wrong, risks, 1 - risks), 1e-6, None)).mean())


def _fit_logistic(
    features_NF: NDArray[np.float64], is_wrong: NDArray[np.bool_], names: Sequence[str], penalty: float
) -> NDArray[np.float64]:
    """Return intercept and coefficients of a logistic regression with a ridge penalty on the coefficients.

    A coefficient with the wrong sign would be chance: a longer gap never makes a length more certain.
    """
    sign = np.where(is_wrong, 1.0, -1.0)

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (parameters[0] + features_NF @ parameters[1:])
        slope = -sign / (1 + np.exp(np.clip(margin, -50, 50)))
        value = float(np.logaddexp(0, -margin).sum() + penalty / 2 * parameters[1:] @ parameters[1:])
        gradient = np.concatenate([[slope.sum()], features_NF.T @ slope + penalty * parameters[1:]])
        return value, gradient

    bounds = [(None, None), *(_sign_bounds(name) for name in names)]
    start = np.zeros(features_NF.shape[1] + 1)
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}).x)


def _sign_bounds(feature: str) -> tuple[float | None, float | None]:
    if feature in _REASSURING:
        return None, 0.0
    return (None, None) if feature in _NEUTRAL else (0.0, None)


def _risk(features_NF: NDArray[np.float64], parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-(parameters[0] + features_NF @ parameters[1:]))))


def _intervals(
    trait: str, samples: _Samples, risks: NDArray[np.float64]
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Return the bounds of the bins of risk, and the lower and upper bound of the error in each bin.

    Values without a true one belong to plants that do not exist: they count as wrong, but have no error.
    """
    known = np.isfinite(samples.true)
    units = np.array([error_unit(trait, value) for value in samples.measured[known]])
    errors, known_risks = (samples.true[known] - samples.measured[known]) / units, risks[known]
    bins = max(1, min(_MAX_BINS, len(errors) // _MIN_BIN_RECORDS))
    bounds = np.quantile(known_risks, np.arange(1, bins) / bins)
    index = np.searchsorted(bounds, known_risks)
    low, high = [], []
    for number in range(bins):
        inside = np.sort(errors[index == number])
        # The ranks of split conformal prediction, for a share of (1 - coverage) / 2 beyond each bound.
        rank = max(1, math.floor((len(inside) + 1) * (1 - COVERAGE) / 2))
        low.append(float(inside[rank - 1]))
        high.append(float(inside[-rank]))
    return _rounded(bounds), _rounded(np.array(low)), _rounded(np.array(high))


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)
