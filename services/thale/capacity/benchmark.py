"""Benchmark of one machine: services/thale/capacity/benchmark.json, written by loadtests/knee.py."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, ValidationError

from thale.errors import ParameterError, describe_validation_error
from thale.schemas import FrozenModel

_DEFAULT_PATH = Path(__file__).with_name("benchmark.json")

Component = Literal["segmentation", "landmarks", "facade", "torchserve"]
"""A consumer of CPU time: model workers, the facade with its post-processing workers, or TorchServe's frontend."""
COMPONENTS: tuple[Component, ...] = ("segmentation", "landmarks", "facade", "torchserve")

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Machine(FrozenModel):
    """The machine of the benchmark, and its background load."""

    cpu_model: str
    cores: int = Field(gt=0)
    memory_gib: float = Field(gt=0)
    background_cpu_fraction: Share
    """Share of all cores' time that other programs and the load generator used."""


class SizeClassBenchmark(FrozenModel):
    """Cost of images of one size class, processed one at a time."""

    plates: int = Field(gt=0)
    latency_p50_s: Seconds
    """Time from request to response on an idle machine."""
    cpu_seconds: dict[Component, Seconds]
    """Mean CPU seconds per image, user and system."""


class LoadStep(FrozenModel):
    """Closed-loop load with a fixed number of clients, each with one request at a time and no pause."""

    clients: int = Field(gt=0)
    responses: int = Field(ge=0)
    rps: float = Field(ge=0)
    """Responses per second."""
    mean_s: Seconds
    p50_s: Seconds
    p99_s: Seconds


class Overload(FrozenModel):
    """Open-loop load above the capacity: requests are sent on a schedule, independent of responses."""

    offered_rps: float = Field(gt=0)
    seconds: Seconds
    sent: int = Field(ge=0)
    completed: int = Field(ge=0)
    rejected: int = Field(ge=0)
    """Requests with status 503 or 429, rejected before any work."""
    rejected_with_retry_after: int = Field(ge=0)
    timed_out: int = Field(ge=0)
    """Accepted requests with status 504."""
    failed: int = Field(ge=0)
    """Requests with any other error."""
    rejection_p99_s: Seconds
    accepted_p50_s: Seconds
    accepted_p99_s: Seconds
    accepted_max_s: Seconds
    recovery_s: Seconds | None
    """Time from the last request until a small image has the latency of an idle machine. None if it never had."""


class Benchmark(FrozenModel):
    """One benchmark of one machine."""

    measured_at: AwareDatetime
    machine: Machine
    versions: dict[str, str]
    mix: dict[str, Share]
    """Share of each size class in steps and overload."""
    classes: dict[str, SizeClassBenchmark] = Field(min_length=1)
    steps: tuple[LoadStep, ...] = Field(min_length=1)
    overload: Overload
    peak_memory_mib: dict[Component, float]
    """Peak memory of each component, summed over its processes."""

    def knee(self) -> LoadStep:
        """Return the step with the greatest power, throughput / mean latency.

        Below the knee, the machine is partly idle. Above it, only the latency increases. Source: Kleinrock, "Power and
        deterministic rules of thumb for probabilistic problems in computer communications", ICC 1979.
        """
        return max(self.steps, key=lambda step: step.rps / step.mean_s if step.mean_s > 0 else 0.0)

    def cpu_seconds(self, mix: dict[str, float]) -> dict[Component, float]:
        """Return the mean CPU seconds of each component per image of a mix.

        Raises:
            ParameterError: If the mix has a size class without a benchmark.
        """
        if unknown := sorted(set(mix) - set(self.classes)):
            known = ", ".join(self.classes)
            raise ParameterError(f"the benchmark has no size class {', '.join(unknown)}: use {known}")
        return {
            component: sum(share * self.classes[size].cpu_seconds.get(component, 0.0) for size, share in mix.items())
            for component in COMPONENTS
        }


def read_benchmark(path: Path | None = None) -> Benchmark:
    """Read a benchmark file, by default the one in the package.

    Raises:
        ParameterError: If the file is unreadable or not a benchmark.
    """
    path = path or _DEFAULT_PATH
    try:
        return Benchmark.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ParameterError(f"the benchmark {path} is unreadable: {error}") from error
    except ValidationError as error:
        description = describe_validation_error(error)
        raise ParameterError(f"{path} is not a benchmark by loadtests/knee.py: {description}") from error
