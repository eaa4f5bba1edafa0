"""Policy of the judge: error rates, margins and drift limits, read from `policy.toml`."""

import math
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from thale.errors import ParameterError, describe_validation_error
from thale.schemas import FrozenModel

Fraction = Annotated[float, Field(gt=0, lt=1)]

_DEFAULT_PATH = Path(__file__).with_name("policy.toml")


class PerCheck(FrozenModel):
    """One number for each check of `thale.release.judge.checks`."""

    failures: Fraction
    shadow_failures: Fraction
    latency_slo: Fraction
    latency_regression: Fraction
    no_plants: Fraction
    missing_traits: Fraction
    shadow_disagreement: Fraction
    output_drift: Fraction


class DriftLimits(FrozenModel):
    """Limits above which two distributions differ: effect size (PSI) and significance (KS)."""

    psi: float = Field(gt=0)
    significance: Fraction


class JudgePolicy(FrozenModel):
    """Error rates, sample sizes, margins and drift limits of the judge."""

    false_rollback_rate: Fraction
    false_promotion_rate: Fraction
    min_requests: int = Field(ge=1)
    min_plates: int = Field(ge=1)
    plate_cluster_size: float = Field(ge=1)
    empty_plate_cluster_size: float = Field(ge=1)
    hold_threshold: Fraction
    latency_floor_s: float = Field(ge=0)
    margins: PerCheck
    shares: PerCheck
    drift: DriftLimits

    @model_validator(mode="after")
    def _check_shares_sum_to_one(self) -> "JudgePolicy":
        total = math.fsum(self.shares.model_dump().values())
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"the shares sum to {total:g}, not to 1")
        return self


def read_policy(path: Path | None = None) -> JudgePolicy:
    """Read a judge policy from a TOML file; None reads the default policy.

    Raises:
        ParameterError: If the file cannot be read, or a value is missing, unknown or out of range.
    """
    if path is None:
        path = _DEFAULT_PATH
    try:
        return JudgePolicy.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ParameterError(f"the judge policy cannot be read from {path}: {error}") from error
    except ValidationError as error:
        raise ParameterError(f"the judge policy in {path} is invalid: {describe_validation_error(error)}") from error
