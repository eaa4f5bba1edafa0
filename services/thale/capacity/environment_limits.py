"""Limits of each environment, from environment_limits.json.

tools/generate/environment_limits.py writes the file from the manifests and Terraform. A test regenerates and compares
it, so that plans and simulations match the clusters.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, TypeAdapter, ValidationError

from thale.errors import ParameterError
from thale.schemas import FrozenModel

ENVIRONMENT_LIMITS_FILE = Path(__file__).with_name("environment_limits.json")


class ScalingPolicy(FrozenModel):
    """Maximum number of replicas that an autoscaler may add or remove within a period."""

    type: Literal["Pods", "Percent"]
    value: float = Field(gt=0)
    period_s: float = Field(gt=0)


class ScalingRules(FrozenModel):
    """Scaling behaviour in one direction. Of several policies, the one that allows the largest change applies."""

    stabilization_s: float = Field(ge=0)
    """Window of recommendations: the largest one applies to a scale-down, the smallest one to a scale-up."""
    policies: tuple[ScalingPolicy, ...] = Field(min_length=1)


class HpaSpec(FrozenModel):
    """A HorizontalPodAutoscaler by the manifests and Kubernetes' defaults."""

    metric: Literal["in_flight", "cpu"]
    target: float = Field(gt=0)
    """Images in flight per replica, or CPU usage as a share of the CPU request."""
    min_replicas: int = Field(ge=0)
    max_replicas: int = Field(ge=1)
    scale_up: ScalingRules
    scale_down: ScalingRules


class Workload(FrozenModel):
    """A workload: requests and limits of one replica, and its autoscaler."""

    cpu_request: float = Field(gt=0)
    cpu_limit: float = Field(gt=0)
    memory_request_mib: float = Field(gt=0)
    hpa: HpaSpec


class NodePool(FrozenModel):
    """A pool of nodes of one VM size."""

    vm_size: str
    min_nodes: int = Field(ge=0)
    max_nodes: int = Field(ge=1)


class BaselineUsage(FrozenModel):
    """Resource requests of thale's other pods on the general pool: gateways and rollout controllers."""

    cpu: float = Field(ge=0)
    memory_mib: float = Field(ge=0)


class GatewayLimits(FrozenModel):
    """Rate limit of the gateways."""

    replicas: int = Field(ge=1)
    requests_per_s: float = Field(gt=0)
    """Rate limit of each replica."""


class AdmissionLimits(FrozenModel):
    """Admission limits and timeout of a facade (`thale.facade.settings`)."""

    max_in_flight: int = Field(ge=1)
    max_queue_length: int = Field(ge=0)
    max_queue_wait_s: float = Field(gt=0)
    """A request with a longer expected wait is rejected."""
    request_timeout_s: float = Field(gt=0)
    postprocess_workers: int = Field(ge=1)


class EnvironmentLimits(FrozenModel):
    """All values of one environment that affect its capacity."""

    facade: Workload
    segmentation: Workload
    landmarks: Workload
    admission: AdmissionLimits
    gateway: GatewayLimits
    baseline: BaselineUsage
    general_pool: NodePool
    gpu_pool: NodePool
    scrape_interval_s: float = Field(gt=0)
    """Maximum age of a metric at an autoscaler's decision."""
    node_idle_timeout_s: float = Field(ge=0)
    """Time without demand after which a node is removed."""


_LIMITS_BY_ENVIRONMENT = TypeAdapter(dict[str, EnvironmentLimits])


def read_environment_limits(path: Path = ENVIRONMENT_LIMITS_FILE) -> dict[str, EnvironmentLimits]:
    """Return the limits by environment.

    Raises:
        ParameterError: If the file is unreadable or invalid.
    """
    try:
        return _LIMITS_BY_ENVIRONMENT.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ParameterError(f"the environment limits {path} are unreadable: {error}") from error


def dump_environment_limits(limits: dict[str, EnvironmentLimits]) -> bytes:
    """Return the file's content."""
    return _LIMITS_BY_ENVIRONMENT.dump_json(limits, indent=2) + b"\n"
