"""What one machine was measured to hold: services/thale/capacity/benchmark.json, written by loadtests/knee.py."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, ValidationError

from thale.capacity.packaged import packaged
from thale.errors import ParameterError
from thale.schemas import Record

Part = Literal["segmentation", "landmarks", "facade", "torchserve"]
"""Who spends processor time: the models' workers, the facade with its measuring processes, TorchServe's frontend."""
PARTS: tuple[Part, ...] = ("segmentation", "landmarks", "facade", "torchserve")

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Machine(Record):
    """Where it was measured, and how quiet it was there."""

    processor: str
    cores: int = Field(gt=0)
    memory_gib: float = Field(gt=0)
    others_share: Share
    """Part of all cores' time that other programs and the load generator used meanwhile."""


class OfClass(Record):
    """What pictures of a class of image size cost, one at a time."""

    plates: int = Field(gt=0)
    seconds_p50: Seconds
    """From request to answer, with nobody else there."""
    processor_s: dict[Part, Seconds]
    """Processor seconds a picture, user and system, mean."""


class Step(Record):
    """So many clients, each with one request at a time and no pause."""

    clients: int = Field(gt=0)
    answers: int = Field(ge=0)
    rps: float = Field(ge=0)
    """Answers a second."""
    mean_s: Seconds
    p50_s: Seconds
    p99_s: Seconds


class Overload(Record):
    """More requests than can be answered, on a schedule that does not wait for answers."""

    offered_rps: float = Field(gt=0)
    seconds: Seconds
    sent: int = Field(ge=0)
    answered: int = Field(ge=0)
    refused: int = Field(ge=0)
    """503 or 429: at once, before any work."""
    refused_with_retry_after: int = Field(ge=0)
    late: int = Field(ge=0)
    """504: accepted, and not answered before the deadline."""
    failed: int = Field(ge=0)
    """Everything else that is no answer."""
    refusal_p99_s: Seconds
    accepted_p50_s: Seconds
    accepted_p99_s: Seconds
    accepted_max_s: Seconds
    recovery_s: Seconds | None
    """From the last request until a small picture is answered as on an idle machine; None where it never was."""


class Measured(Record):
    """One measurement of one machine."""

    measured_at: AwareDatetime
    machine: Machine
    versions: dict[str, str]
    mix: dict[str, Share]
    """Share of each class of image size in steps and overload."""
    classes: dict[str, OfClass] = Field(min_length=1)
    steps: tuple[Step, ...] = Field(min_length=1)
    overload: Overload
    memory_mib: dict[Part, float]
    """The most that each part held, its processes added up."""

    def knee(self) -> Step:
        """Return the step with the greatest power, throughput / mean time in the system.

        Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in computer communications",
        ICC 1979: below the knee the machine idles, beyond it requests only wait longer.
        """
        return max(self.steps, key=lambda step: step.rps / step.mean_s if step.mean_s > 0 else 0.0)

    def processor_s(self, mix: dict[str, float]) -> dict[Part, float]:
        """Return the processor seconds that each part spends on a picture of a mix.

        Raises:
            ParameterError: If the mix names a class that was not measured.
        """
        if unknown := sorted(set(mix) - set(self.classes)):
            known = ", ".join(self.classes)
            raise ParameterError(f"nobody has measured images of the class {', '.join(unknown)}: known are {known}")
        return {
            part: sum(share * self.classes[size].processor_s.get(part, 0.0) for size, share in mix.items())
            for part in PARTS
        }


def read_measured(path: Path | None = None) -> Measured:
    """Read a measurement; None reads the one that thale comes with.

    Raises:
        ParameterError: If the file cannot be read or is none.
    """
    path = path or packaged("measured.json", "loadtests")
    try:
        return Measured.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ParameterError(f"the measurement cannot be read from {path}: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ParameterError(f"{path} is no measurement by loadtests/knee.py: {faults}") from error
