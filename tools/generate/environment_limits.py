"""Generates services/thale/capacity/environment_limits.json, the limits of each environment, for `thale capacity`.

    python -m tools.generate.environment_limits

The sources are the overlays as kustomize builds them, Terraform's environments, and the defaults of the facade.
"""

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hcl2
import yaml

from thale.capacity.environment_limits import (
    ENVIRONMENT_LIMITS_FILE,
    AdmissionLimits,
    BaselineUsage,
    EnvironmentLimits,
    GatewayLimits,
    HpaSpec,
    NodePool,
    ScalingPolicy,
    ScalingRules,
    Workload,
    dump_environment_limits,
)
from thale.facade.settings import FacadeSettings

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = {"dev": "aks-dev", "staging": "aks-staging", "prod": "aks-prod"}

Manifest = Mapping[str, Any]

# Kubernetes' defaults for an HPA without `behavior`, such as KServe's (API autoscaling/v2).
_DEFAULT_SCALE_UP = ScalingRules(
    stabilization_s=0,
    policies=(ScalingPolicy(type="Percent", value=100, period_s=15), ScalingPolicy(type="Pods", value=4, period_s=15)),
)
_DEFAULT_SCALE_DOWN = ScalingRules(
    stabilization_s=300, policies=(ScalingPolicy(type="Percent", value=100, period_s=15),)
)


def environment_limits() -> dict[str, EnvironmentLimits]:
    """Return the limits of each environment."""
    return {environment: _limits_of_environment(environment, overlay) for environment, overlay in ENVIRONMENTS.items()}


def _limits_of_environment(environment: str, overlay: str) -> EnvironmentLimits:
    objects = _build_overlay(overlay)
    variables = hcl2.loads((ROOT / f"terraform/environments/{environment}.tfvars").read_text(encoding="utf-8"))
    proxy = objects["EnvoyProxy", "thale"]["spec"]["provider"]["kubernetes"]["envoyDeployment"]
    limit = objects["BackendTrafficPolicy", "facade"]["spec"]["rateLimit"]["local"]["rules"][0]["limit"]
    per_s = limit["requests"] / {"Second": 1, "Minute": 60, "Hour": 3600}[limit["unit"]]
    (scrape,) = objects["ServiceMonitor", "facade"]["spec"]["endpoints"]
    gpu = variables["gpu_pools"]["inference"]
    return EnvironmentLimits(
        facade=_facade_workload(objects),
        segmentation=_predictor_workload(objects, "plate-seg"),
        landmarks=_predictor_workload(objects, "plate-landmarks"),
        admission=_admission_limits(objects),
        gateway=GatewayLimits(replicas=proxy["replicas"], requests_per_s=per_s),
        baseline=_baseline_usage(objects, proxy),
        general_pool=_node_pool(variables["general_pool"]),
        gpu_pool=_node_pool({**gpu, "min_nodes": 0}),
        scrape_interval_s=_parse_seconds(scrape["interval"]),
        node_idle_timeout_s=_node_idle_timeout_s(),
    )


def _build_overlay(overlay: str) -> dict[tuple[str, str], Manifest]:
    folder = str(ROOT / "kubernetes/overlays" / overlay)
    result = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=True)  # noqa: S603, S607
    return {(found["kind"], found["metadata"]["name"]): found for found in yaml.safe_load_all(result.stdout)}


def _facade_workload(objects: Mapping[tuple[str, str], Manifest]) -> Workload:
    scaled_object = objects["ScaledObject", "facade"]["spec"]
    behaviour = scaled_object["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    (trigger,) = scaled_object["triggers"]
    hpa = HpaSpec(
        metric="in_flight",
        target=float(trigger["metadata"]["threshold"]),
        min_replicas=scaled_object["minReplicaCount"],
        max_replicas=scaled_object["maxReplicaCount"],
        scale_up=_scaling_rules(behaviour["scaleUp"]),
        scale_down=_scaling_rules(behaviour["scaleDown"]),
    )
    return _workload(_facade_container(objects)["resources"], hpa)


def _predictor_workload(objects: Mapping[tuple[str, str], Manifest], model: str) -> Workload:
    predictor = objects["InferenceService", model]["spec"]["predictor"]
    if (predictor["scaleMetric"], predictor["scaleMetricType"]) != ("cpu", "Utilization"):
        raise SystemExit(f"{model} is scaled by {predictor['scaleMetric']}, which thale.capacity does not know")
    hpa = HpaSpec(
        metric="cpu",
        target=predictor["scaleTarget"] / 100,
        min_replicas=predictor["minReplicas"],
        max_replicas=predictor["maxReplicas"],
        scale_up=_DEFAULT_SCALE_UP,
        scale_down=_DEFAULT_SCALE_DOWN,
    )
    return _workload(predictor["model"]["resources"], hpa)


def _workload(resources: Manifest, hpa: HpaSpec) -> Workload:
    requests, limits = resources["requests"], resources["limits"]
    return Workload(
        cpu_request=_parse_cores(requests["cpu"]),
        cpu_limit=_parse_cores(limits["cpu"]),
        memory_request_mib=_parse_mib(requests["memory"]),
        hpa=hpa,
    )


def _scaling_rules(behavior: Manifest) -> ScalingRules:
    policies = [
        ScalingPolicy(type=policy["type"], value=policy["value"], period_s=policy["periodSeconds"])
        for policy in behavior["policies"]
    ]
    return ScalingRules(stabilization_s=behavior["stabilizationWindowSeconds"], policies=tuple(policies))


def _admission_limits(objects: Mapping[tuple[str, str], Manifest]) -> AdmissionLimits:
    """Return the facade's own defaults, unless the manifest sets others."""
    environment = {variable["name"]: variable.get("value") for variable in _facade_container(objects)["env"]}

    def setting(name: str) -> Any:
        value = environment.get(f"THALE_{name.upper()}")
        return FacadeSettings.model_fields[name].default if value is None else value

    return AdmissionLimits(
        max_in_flight=setting("max_in_flight"),
        max_queue_length=setting("max_queue_length"),
        max_queue_wait_s=setting("max_queue_wait_s"),
        request_timeout_s=setting("request_timeout_s"),
        postprocess_workers=setting("postprocess_workers"),
    )


def _baseline_usage(objects: Mapping[tuple[str, str], Manifest], proxy: Manifest) -> BaselineUsage:
    watcher = objects["Deployment", "release-watcher"]["spec"]
    (container,) = watcher["template"]["spec"]["containers"]
    requests_by_pod = [
        (proxy["replicas"], proxy["container"]["resources"]["requests"]),
        (watcher["replicas"], container["resources"]["requests"]),
    ]
    return BaselineUsage(
        cpu=round(sum(count * _parse_cores(requests["cpu"]) for count, requests in requests_by_pod), 3),
        memory_mib=sum(count * _parse_mib(requests["memory"]) for count, requests in requests_by_pod),
    )


def _facade_container(objects: Mapping[tuple[str, str], Manifest]) -> Manifest:
    containers: Sequence[Manifest] = objects["Deployment", "facade"]["spec"]["template"]["spec"]["containers"]
    return next(container for container in containers if container["name"] == "facade")


def _node_pool(variables: Manifest) -> NodePool:
    return NodePool(
        vm_size=str(variables["vm_size"]).strip('"'), min_nodes=variables["min_nodes"], max_nodes=variables["max_nodes"]
    )


def _node_idle_timeout_s() -> float:
    cluster = (ROOT / "terraform/modules/region/cluster.tf").read_text(encoding="utf-8")
    (duration,) = re.findall(r'scale_down_unneeded\s*=\s*"(\w+)"', cluster)
    return _parse_seconds(duration)


def _parse_seconds(text: str) -> float:
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def _parse_cores(text: str) -> float:
    return float(text[:-1]) / 1000 if str(text).endswith("m") else float(text)


def _parse_mib(text: str) -> float:
    return float(text[:-2]) * {"Mi": 1, "Gi": 1024}[text[-2:]]


def main() -> int:
    """Write the file. Returns the exit status."""
    ENVIRONMENT_LIMITS_FILE.write_bytes(dump_environment_limits(environment_limits()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
