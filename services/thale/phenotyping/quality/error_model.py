"""Error model: the probability that a trait is wrong, and a 90 % interval of its true value.

The model is data. `thale-models fit-error-model` fits it on synthetic plates, and writes it for one pair of weights. It
has two parts for each trait (ADR 0120, 0127):

- a logistic regression on the features of a plant gives the risk, the probability of an error above the tolerance
- quantiles of the errors in bins of the risk give the interval (split conformal prediction: Vovk et al., "Algorithmic
  Learning in a Random World", 2005; bins as in Mondrian prediction)
"""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, FiniteFloat, ValidationError, model_validator

from thale.errors import describe_validation_error
from thale.phenotyping.quality.feature_names import FEATURE_NAMES
from thale.phenotyping.traits.tolerance import error_unit, kind_of
from thale.schemas import FrozenModel

ERROR_MODELS_FOLDER = Path(__file__).with_name("error_models")
"""Folder of the package with one file for each pair of weights. A rollout serves two versions of a model."""

MAX_DEVIATION = 4.0
"""Standard deviations at which a feature is clipped, because beyond them the model extrapolates."""

_SIGNED_KINDS = ("position", "angle")
_ROUNDING = 1e-6


class TraitErrorModel(FrozenModel):
    """Error model of one trait."""

    coefficients: tuple[FiniteFloat, ...]
    intercept: FiniteFloat
    max_ok_risk: FiniteFloat
    """Largest risk of a value with the quality `ok`."""
    risk_bounds: tuple[FiniteFloat, ...]
    """Upper bounds of the bins of risk, except of the last."""
    low: tuple[FiniteFloat, ...]
    high: tuple[FiniteFloat, ...]
    """Bounds of (true - measured) in each bin, in the unit of `error_unit`."""

    @model_validator(mode="after")
    def _check_bins(self) -> "TraitErrorModel":
        if not len(self.risk_bounds) + 1 == len(self.low) == len(self.high):
            raise ValueError(f"{len(self.risk_bounds)} bounds of risk need {len(self.risk_bounds) + 1} intervals")
        return self

    def interval(self, trait: str, value: float, risk: float) -> tuple[float, float]:
        """Return the interval of the true value. It contains the measured value. A count has whole bounds."""
        index, unit = int(np.searchsorted(self.risk_bounds, risk)), error_unit(trait, value)
        low, high = value + min(self.low[index], 0.0) * unit, value + max(self.high[index], 0.0) * unit
        kind = kind_of(trait)
        if kind == "count":
            low, high = math.ceil(low - _ROUNDING), math.floor(high + _ROUNDING)
        return (low, high) if kind in _SIGNED_KINDS else (max(low, 0.0), high)


class ErrorModel(FrozenModel):
    """Error models of all traits for one pair of weights."""

    segmentation_weights: str
    landmarks_weights: str
    """Digests of the weights, as `ModelRef.digest` of a worker's response."""
    coverage: float = Field(gt=0, lt=1)
    features: tuple[str, ...]
    means: tuple[FiniteFloat, ...]
    deviations: tuple[Annotated[FiniteFloat, Field(gt=0)], ...]
    traits: dict[str, TraitErrorModel]
    evidence_flags: tuple[str, ...] = ()
    """Flags that do not decide the quality, because the risk follows from the same evidence."""
    data: str = ""
    """Description of the plates on which the model was fitted."""
    results: dict[str, float] = {}
    """Results on plates that were not used for the fit."""

    @model_validator(mode="after")
    def _check_sizes(self) -> "ErrorModel":
        sizes = {len(self.features), len(self.means), len(self.deviations)}
        if len(sizes) != 1 or any(len(trait.coefficients) not in sizes for trait in self.traits.values()):
            raise ValueError("the numbers of features, means, deviations and coefficients differ")
        return self

    @model_validator(mode="after")
    def _check_features(self) -> "ErrorModel":
        unknown = [name for name in self.features if name not in FEATURE_NAMES]
        if unknown:
            raise ValueError(
                f"this version of thale does not compute the features {unknown}: fit the model again with "
                "`thale-models fit-error-model`"
            )
        return self

    @property
    def file_name(self) -> str:
        """Name of the model's file: the first digits of both digests."""
        digests = (self.segmentation_weights, self.landmarks_weights)
        return "-".join(digest.removeprefix("sha256:")[:12] for digest in digests) + ".json"

    def risks(self, features: Mapping[str, float]) -> dict[str, float]:
        """Return the risk of each trait of a plant, or of a plate.

        Raises:
            KeyError: If a feature of the model is missing.
        """
        values = np.array([features[name] for name in self.features])
        scaled = np.clip((values - self.means) / self.deviations, -MAX_DEVIATION, MAX_DEVIATION)
        return {
            name: float(1 / (1 + np.exp(-(trait.intercept + scaled @ trait.coefficients))))
            for name, trait in self.traits.items()
        }


@cache
def read_error_models(folder: Path) -> Mapping[tuple[str, str], ErrorModel]:
    """Return the error models of a folder by the digests of both weights. A process reads a folder once.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If a file has no valid error model.
    """
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    models = [_read_error_model(path) for path in files]
    return {(model.segmentation_weights, model.landmarks_weights): model for model in models}


def _read_error_model(path: Path) -> ErrorModel:
    try:
        return ErrorModel.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{path.name}: {describe_validation_error(error)}") from error


def require_error_models(folder: Path) -> Path:
    """Return a folder of the user if it has error models, and all of them are valid.

    Raises:
        ValueError: If it has none, or one that is invalid.
    """
    try:
        found = read_error_models(folder)
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} has an invalid error model: {error}") from error
    if not found:
        raise ValueError(f"{folder} has no error model: write one with `thale-models fit-error-model --out {folder}`")
    return folder


def packaged_error_models() -> Mapping[tuple[str, str], ErrorModel]:
    """Return the error models of the package by the digests of both weights."""
    return read_error_models(ERROR_MODELS_FOLDER)


def error_model_for(segmentation_weights: str, landmarks_weights: str, folder: Path | None = None) -> ErrorModel | None:
    """Return the error model for these weights: of the user's folder, else of the package, else None."""
    weights = (segmentation_weights, landmarks_weights)
    own_models = {} if folder is None else read_error_models(folder)
    return own_models.get(weights) or packaged_error_models().get(weights)


def is_uncalibrated(segmentation_weights: str, landmarks_weights: str, folder: Path | None = None) -> bool:
    """Return True if the package has error models, but neither it nor the folder has one for these weights."""
    return bool(packaged_error_models()) and error_model_for(segmentation_weights, landmarks_weights, folder) is None
