"""The limits that judge, alerts and load tests share: services/thale/slo.toml, read and checked."""

import math
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from thale.errors import ParameterError
from thale.schemas import Record

Share = Annotated[float, Field(gt=0, lt=1)]

_DEFAULT_PATH = Path(__file__).with_name("slo.toml")


class Latency(Record):
    """What is promised for images up to a size."""

    up_to_megapixels: float = Field(gt=0)
    p99_s: float = Field(gt=0)


class ByQuestion(Record):
    """A number for each question that the judge asks; `thale.release.judge.checks` says what they mean."""

    failing: Share
    shadow_failing: Share
    too_slow: Share
    slower: Share
    empty: Share
    unknown: Share
    disagreeing: Share
    unusual: Share


class DriftLimits(Record):
    """From where on two distributions are different: in size (PSI) and beyond chance (KS)."""

    psi: float = Field(gt=0)
    significance: Share


class Policy(Record):
    """How sure the judge must be, and what it does not mind."""

    false_alarms: Share
    missed: Share
    least_answers: int = Field(ge=1)
    least_plates: int = Field(ge=1)
    series_plates: float = Field(ge=1)
    empty_series_plates: float = Field(ge=1)
    suspicion: Share
    quick_enough_s: float = Field(ge=0)
    margins: ByQuestion
    shares: ByQuestion
    drift: DriftLimits

    @model_validator(mode="after")
    def _shares_are_all(self) -> "Policy":
        total = math.fsum(self.shares.model_dump().values())
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"the shares sum up to {total:g}, not to 1")
        return self


class Slo(Record):
    """What is promised to users, and how the judge decides."""

    availability: Share
    latency: tuple[Latency, ...] = Field(min_length=1)
    judge: Policy


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
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ParameterError(f"the limits in {path} make no sense: {faults}") from error
