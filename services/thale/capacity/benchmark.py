"""What one machine was measured to hold: services/thale/capacity/benchmark.json, written by loadtests/knee.py."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, ValidationError

from thale.errors import ParameterError, describe_validation_error
from thale.schemas import FrozenModel

_DEFAULT_PATH = Path(__file__).with_name("benchmark.json")

Component = Literal["segmentation", "landmarks", "facade", "torchserve"]
"""Who spends processor time: the models' workers, the facade with its measuring processes, TorchServe's frontend."""
COMPONENTS: tuple[Component, ...] = ("segmentation", "landmarks", "facade", "torchserve")

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Machine(FrozenModel):
    """Where it was measured, and how quiet it was there."""

    cpu_model: str
    cores: int = Field(gt=0)
    memory_gib: float = Field(gt=0)
    background_cpu_fraction: Share
    """Part of all cores' time that other programs and the load generator used meanwhile."""


class SizeClassBenchmark(FrozenModel):
    """What pictures of a class of image size cost, one at a time."""

    plates: int = Field(gt=0)
    latency_p50_s: Seconds
    """From request to answer, with nobody else there."""
    cpu_seconds: dict[Component, Seconds]
    """Processor seconds a picture, user and system, mean."""


class LoadStep(FrozenModel):
    """So many clients, each with one request at a time and no pause."""

    clients: int = Field(gt=0)
    responses: int = Field(ge=0)
    rps: float = Field(ge=0)
    """Answers a second."""
    mean_s: Seconds
    p50_s: Seconds
    p99_s: Seconds


class Overload(FrozenModel):
    """More requests than can be answered, on a schedule that does not wait for answers."""

    offered_rps: float = Field(gt=0)
    seconds: Seconds
    sent: int = Field(ge=0)
    completed: int = Field(ge=0)
    rejected: int = Field(ge=0)
    """503 or 429: at once, before any work."""
    rejected_with_retry_after: int = Field(ge=0)
    timed_out: int = Field(ge=0)
    """504: accepted, and not answered before the deadline."""
    failed: int = Field(ge=0)
    """Everything else that is no answer."""
    rejection_p99_s: Seconds
    accepted_p50_s: Seconds
    accepted_p99_s: Seconds
    accepted_max_s: Seconds
    recovery_s: Seconds | None
    """From the last request until a small picture is answered as on an idle machine; None where it never was."""


class Benchmark(FrozenModel):
    """One measurement of one machine."""

    measured_at: AwareDatetime
    machine: Machine
    versions: dict[str, str]
    mix: dict[str, Share]
    """Share of each class of image size in steps and overload."""
    classes: dict[str, SizeClassBenchmark] = Field(min_length=1)
    steps: tuple[LoadStep, ...] = Field(min_length=1)
    overload: Overload
    peak_memory_mib: dict[Component, float]
    """The most that each part held, its processes added up."""

    def knee(self) -> LoadStep:
        """Return the step with the greatest power, throughput / mean time in the system.

        Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in computer communications",
        ICC 1979: below the knee the machine idles, beyond it requests only wait longer.
        """
        return max(self.steps, key=lambda step: step.rps / step.mean_s if step.mean_s > 0 else 0.0)

    def cpu_seconds(self, mix: dict[str, float]) -> dict[Component, float]:
        """Return the processor seconds that each part spends on a picture of a mix.

        Raises:
            ParameterError: If the mix names a class that was not measured.
        """
        if unknown := sorted(set(mix) - set(self.classes)):
            known = ", ".join(self.classes)
            raise ParameterError(f"nobody has measured images of the class {', '.join(unknown)}: known are {known}")
        return {
            component: sum(share * self.classes[size].cpu_seconds.get(component, 0.0) for size, share in mix.items())
            for component in COMPONENTS
        }


def read_benchmark(path: Path | None = None) -> Benchmark:
    """Read a measurement; None reads the one that thale comes with.

    Raises:
        ParameterError: If the file cannot be read or is none.
    """
    path = path or _DEFAULT_PATH
    try:
        return Benchmark.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ParameterError(f"the measurement cannot be read from {path}: {error}") from error
    except ValidationError as error:
        description = describe_validation_error(error)
        raise ParameterError(f"{path} is no measurement by loadtests/knee.py: {description}") from error
