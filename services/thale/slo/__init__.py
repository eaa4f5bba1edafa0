"""Service level objectives (SLOs) of `slo.toml`, shared by the judge, the alerts and the load tests."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from thale.errors import ParameterError, describe_validation_error
from thale.schemas import FrozenModel

_DEFAULT_PATH = Path(__file__).with_name("slo.toml")


class LatencyObjective(FrozenModel):
    """Latency objective for images up to a size."""

    up_to_megapixels: float = Field(gt=0)
    p99_s: float = Field(gt=0)


class Slo(FrozenModel):
    """Objectives for availability and latency."""

    availability: Annotated[float, Field(gt=0, lt=1)]
    latency: tuple[LatencyObjective, ...] = Field(min_length=1)


def read_slo(path: Path | None = None) -> Slo:
    """Read the objectives from a TOML file; None reads the default objectives.

    Raises:
        ParameterError: If the file cannot be read, or a value is missing, unknown or out of range.
    """
    if path is None:
        path = _DEFAULT_PATH
    try:
        return Slo.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ParameterError(f"the objectives cannot be read from {path}: {error}") from error
    except ValidationError as error:
        raise ParameterError(f"the objectives in {path} are invalid: {describe_validation_error(error)}") from error
