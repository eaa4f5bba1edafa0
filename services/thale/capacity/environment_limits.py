"""What each environment may run: fleets.json, which tools/generate/environment_limits.py writes from the manifests and Terraform.

A test writes it anew and compares, so that what is planned and simulated here is what a cluster does.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, TypeAdapter, ValidationError

from thale.errors import ParameterError
from thale.schemas import Record

FLEETS = Path(__file__).with_name("fleets.json")


class Rule(Record):
    """How many replicas an autoscaler may add or take within a period."""

    type: Literal["Pods", "Percent"]
    value: float = Field(gt=0)
    period_s: float = Field(gt=0)


class Direction(Record):
    """One direction of an autoscaler's behaviour; of several rules the one that allows the most counts."""

    stabilization_s: float = Field(ge=0)
    """Going down, the largest wish of this window counts; going up, the smallest."""
    rules: tuple[Rule, ...] = Field(min_length=1)


class Scaler(Record):
    """A HorizontalPodAutoscaler, as manifests and Kubernetes' defaults make it."""

    metric: Literal["in_flight", "processor"]
    target: float = Field(gt=0)
    """Images in flight a replica, or the share of the requested processor that replicas use."""
    least: int = Field(ge=0)
    most: int = Field(ge=1)
    up: Direction
    down: Direction


class Workload(Record):
    """One kind of pod: what a replica asks for, what it may use, and who decides how many there are."""

    cpu_request: float = Field(gt=0)
    cpu_limit: float = Field(gt=0)
    memory_request_mib: float = Field(gt=0)
    scaler: Scaler


class Pool(Record):
    """A pool of nodes of one size."""

    vm_size: str
    least: int = Field(ge=0)
    most: int = Field(ge=1)


class Standing(Record):
    """What else of ours asks for room on the general pool: gateways and release watchers."""

    cpu: float = Field(ge=0)
    memory_mib: float = Field(ge=0)


class Gateway(Record):
    """What the gateways let through."""

    replicas: int = Field(ge=1)
    requests_per_s: float = Field(gt=0)
    """Of each."""


class Places(Record):
    """What a facade takes in at once, and how long it tries (`thale.facade.settings`)."""

    working: int = Field(ge=1)
    waiting: int = Field(ge=0)
    wait_s: float = Field(gt=0)
    """Who would wait longer, by the pace of the last ones, is refused."""
    deadline_s: float = Field(gt=0)
    measuring: int = Field(ge=1)
    """Processes that measure."""


class Fleet(Record):
    """Everything of one environment that capacity depends on."""

    facade: Workload
    segmentation: Workload
    landmarks: Workload
    places: Places
    gateway: Gateway
    standing: Standing
    general_pool: Pool
    gpu_pool: Pool
    scrape_s: float = Field(gt=0)
    """How old a metric may be before an autoscaler sees it."""
    node_idle_s: float = Field(ge=0)
    """How long a node must have been needed by nobody before it goes."""


_FLEETS = TypeAdapter(dict[str, Fleet])


def read_fleets(path: Path = FLEETS) -> dict[str, Fleet]:
    """Return the fleets by environment.

    Raises:
        ParameterError: If the file cannot be read or holds something else.
    """
    try:
        return _FLEETS.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ParameterError(f"the fleets cannot be read from {path}: {error}") from error


def dump_fleets(fleets: dict[str, Fleet]) -> bytes:
    """Return the file's content."""
    return _FLEETS.dump_json(fleets, indent=2) + b"\n"
