"""What each environment may run: environment_limits.json, which tools/generate/environment_limits.py writes from the manifests and Terraform.

A test writes it anew and compares, so that what is planned and simulated here is what a cluster does.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, TypeAdapter, ValidationError

from thale.errors import ParameterError
from thale.schemas import FrozenModel

ENVIRONMENT_LIMITS_FILE = Path(__file__).with_name("environment_limits.json")


class ScalingPolicy(FrozenModel):
    """How many replicas an autoscaler may add or take within a period."""

    type: Literal["Pods", "Percent"]
    value: float = Field(gt=0)
    period_s: float = Field(gt=0)


class ScalingRules(FrozenModel):
    """One direction of an autoscaler's behaviour; of several rules the one that allows the most counts."""

    stabilization_s: float = Field(ge=0)
    """Going down, the largest wish of this window counts; going up, the smallest."""
    policies: tuple[ScalingPolicy, ...] = Field(min_length=1)


class HpaSpec(FrozenModel):
    """A HorizontalPodAutoscaler, as manifests and Kubernetes' defaults make it."""

    metric: Literal["in_flight", "cpu"]
    target: float = Field(gt=0)
    """Images in flight a replica, or the share of the requested processor that replicas use."""
    min_replicas: int = Field(ge=0)
    max_replicas: int = Field(ge=1)
    scale_up: ScalingRules
    scale_down: ScalingRules


class Workload(FrozenModel):
    """One kind of pod: what a replica asks for, what it may use, and who decides how many there are."""

    cpu_request: float = Field(gt=0)
    cpu_limit: float = Field(gt=0)
    memory_request_mib: float = Field(gt=0)
    hpa: HpaSpec


class NodePool(FrozenModel):
    """A pool of nodes of one size."""

    vm_size: str
    min_nodes: int = Field(ge=0)
    max_nodes: int = Field(ge=1)


class BaselineUsage(FrozenModel):
    """What else of ours asks for room on the general pool: gateways and release watchers."""

    cpu: float = Field(ge=0)
    memory_mib: float = Field(ge=0)


class Gateway(FrozenModel):
    """What the gateways let through."""

    replicas: int = Field(ge=1)
    requests_per_s: float = Field(gt=0)
    """Of each."""


class AdmissionLimits(FrozenModel):
    """What a facade takes in at once, and how long it tries (`thale.facade.settings`)."""

    max_in_flight: int = Field(ge=1)
    max_queue_length: int = Field(ge=0)
    max_queue_wait_s: float = Field(gt=0)
    """Who would wait longer, by the pace of the last ones, is refused."""
    request_timeout_s: float = Field(gt=0)
    postprocess_workers: int = Field(ge=1)
    """Processes that measure."""


class EnvironmentLimits(FrozenModel):
    """Everything of one environment that capacity depends on."""

    facade: Workload
    segmentation: Workload
    landmarks: Workload
    admission: AdmissionLimits
    gateway: Gateway
    baseline: BaselineUsage
    general_pool: NodePool
    gpu_pool: NodePool
    scrape_interval_s: float = Field(gt=0)
    """How old a metric may be before an autoscaler sees it."""
    node_idle_timeout_s: float = Field(ge=0)
    """How long a node must have been needed by nobody before it goes."""


_LIMITS_BY_ENVIRONMENT = TypeAdapter(dict[str, EnvironmentLimits])


def read_environment_limits(path: Path = ENVIRONMENT_LIMITS_FILE) -> dict[str, EnvironmentLimits]:
    """Return the fleets by environment.

    Raises:
        ParameterError: If the file cannot be read or holds something else.
    """
    try:
        return _LIMITS_BY_ENVIRONMENT.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ParameterError(f"the fleets cannot be read from {path}: {error}") from error


def dump_environment_limits(limits: dict[str, EnvironmentLimits]) -> bytes:
    """Return the file's content."""
    return _LIMITS_BY_ENVIRONMENT.dump_json(limits, indent=2) + b"\n"
