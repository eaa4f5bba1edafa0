"""Check that the node pool for GPU predictors may grow to the nodes that the overlay's replicas need."""

import math
from collections.abc import Mapping
from typing import Any

import yaml

from deploy.commands import run
from deploy.context import GPU_COMPONENT, DeployContext
from deploy.errors import MissingPrerequisite
from deploy.subscription import tfvars

_GPU = "nvidia.com/gpu"
_PLUGIN_VALUES = "kubernetes/platform/values/nvidia-device-plugin.yaml"


def missing_gpu_nodes(context: DeployContext) -> list[MissingPrerequisite]:
    """Return the GPU nodes that `gpu_pools` lacks for the minimum replicas of the overlay.

    Raises:
        CommandError: If the overlay cannot be built.
    """
    if GPU_COMPONENT not in context.overlay_components:
        return []
    pools = [pool for pool in tfvars(context).get("gpu_pools", {}).values() if pool["purpose"] == "inference"]
    available = sum(int(pool["max_nodes"]) for pool in pools)
    needed = math.ceil(_requested_gpus(context) / _gpu_replicas(context))
    if available >= needed:
        return []
    return [
        MissingPrerequisite(
            f"{needed} GPU nodes for the minimum replicas of all models: gpu_pools has {available} for inference",
            f"raise max_nodes in terraform/environments/{context.environment}.tfvars, or share a GPU (docs/gpu.md)",
        )
    ]


def _requested_gpus(context: DeployContext) -> int:
    """Return the GPUs of all predictors at their minimum replicas. A model that scales to zero needs one to start."""
    rendered = run(["kubectl", "kustomize", str(context.overlay)]).stdout
    predictors = [
        each["spec"]["predictor"]
        for each in yaml.safe_load_all(rendered)
        if each and each["kind"] == "InferenceService"
    ]
    return sum(max(int(each.get("minReplicas", 1)), 1) * _limit(each) for each in predictors)


def _limit(predictor: Mapping[str, Any]) -> int:
    return int(predictor["model"].get("resources", {}).get("limits", {}).get(_GPU, 0))


def _gpu_replicas(context: DeployContext) -> int:
    """Return the pods that share a GPU by time slicing, 1 without it."""
    values = yaml.safe_load((context.root / _PLUGIN_VALUES).read_text())
    configuration = ((values.get("config") or {}).get("map") or {}).get("default")
    sharing = (yaml.safe_load(configuration) or {}).get("sharing", {}) if configuration else {}
    resources = sharing.get("timeSlicing", {}).get("resources", [])
    return next((int(each["replicas"]) for each in resources if each["name"] == _GPU), 1)
