"""The limits that judge, alerts and load tests share: services/thale/slo.toml, read and checked."""

import math
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from thale.errors import ParameterError, describe_validation_error
from thale.schemas import FrozenModel

Share = Annotated[float, Field(gt=0, lt=1)]

_DEFAULT_PATH = Path(__file__).with_name("slo.toml")


class LatencyObjective(FrozenModel):
    """What is promised for images up to a size."""

    up_to_megapixels: float = Field(gt=0)
    p99_s: float = Field(gt=0)


class PerCheck(FrozenModel):
    """A number for each question that the judge asks; `thale.release.judge.checks` says what they mean."""

    failures: Share
    shadow_failures: Share
    latency_slo: Share
    latency_regression: Share
    no_plants: Share
    missing_traits: Share
    shadow_disagreement: Share
    output_drift: Share


class DriftLimits(FrozenModel):
    """From where on two distributions are different: in size (PSI) and beyond chance (KS)."""

    psi: float = Field(gt=0)
    significance: Share


class JudgePolicy(FrozenModel):
    """How sure the judge must be, and what it does not mind."""

    false_rollback_rate: Share
    false_promotion_rate: Share
    min_requests: int = Field(ge=1)
    min_plates: int = Field(ge=1)
    plate_cluster_size: float = Field(ge=1)
    empty_plate_cluster_size: float = Field(ge=1)
    hold_threshold: Share
    latency_floor_s: float = Field(ge=0)
    margins: PerCheck
    shares: PerCheck
    drift: DriftLimits

    @model_validator(mode="after")
    def _check_shares_sum_to_one(self) -> "JudgePolicy":
        total = math.fsum(self.shares.model_dump().values())
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"the shares sum up to {total:g}, not to 1")
        return self


class Slo(FrozenModel):
    """What is promised to users, and how the judge decides."""

    availability: Share
    latency: tuple[LatencyObjective, ...] = Field(min_length=1)
    judge: JudgePolicy


def read_slo(path: Path | None = None) -> Slo:
    """Read the limits; None reads those that thale comes with.

    Raises:
        ParameterError: If the file cannot be read or says something that makes no sense.
    """
    if path is None:
        path = _DEFAULT_PATH
    try:
        return Slo.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ParameterError(f"the limits cannot be read from {path}: {error}") from error
    except ValidationError as error:
        raise ParameterError(f"the limits in {path} make no sense: {describe_validation_error(error)}") from error
