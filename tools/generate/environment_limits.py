"""Writes services/thale/capacity/environment_limits.json: what each environment may run, for `thale capacity`.

    python tools/generate/environment_limits.py

Read from the overlays as kustomize builds them, from Terraform's environments, and from the facade's defaults.
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
    FLEETS,
    Direction,
    Fleet,
    Gateway,
    Places,
    Pool,
    Rule,
    Scaler,
    Standing,
    Workload,
    dump_fleets,
)
from thale.facade.settings import Settings

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = {"dev": "aks-dev", "staging": "aks-staging", "prod": "aks-prod"}

Manifest = Mapping[str, Any]

# What Kubernetes does where an HPA says no behaviour, as KServe's do not (API autoscaling/v2, its defaults).
_UP = Direction(
    stabilization_s=0,
    rules=(Rule(type="Percent", value=100, period_s=15), Rule(type="Pods", value=4, period_s=15)),
)
_DOWN = Direction(stabilization_s=300, rules=(Rule(type="Percent", value=100, period_s=15),))


def fleets() -> dict[str, Fleet]:
    """Return the fleet of every environment."""
    return {environment: _fleet(environment, overlay) for environment, overlay in ENVIRONMENTS.items()}


def _fleet(environment: str, overlay: str) -> Fleet:
    found = _built(overlay)
    variables = hcl2.loads((ROOT / f"terraform/environments/{environment}.tfvars").read_text(encoding="utf-8"))
    proxy = found["EnvoyProxy", "thale"]["spec"]["provider"]["kubernetes"]["envoyDeployment"]
    limit = found["BackendTrafficPolicy", "facade"]["spec"]["rateLimit"]["local"]["rules"][0]["limit"]
    per_s = limit["requests"] / {"Second": 1, "Minute": 60, "Hour": 3600}[limit["unit"]]
    (scrape,) = found["ServiceMonitor", "facade"]["spec"]["endpoints"]
    gpu = variables["gpu_pools"]["inference"]
    return Fleet(
        facade=_facade(found),
        segmentation=_predictor(found, "plate-seg"),
        landmarks=_predictor(found, "plate-landmarks"),
        places=_places(found),
        gateway=Gateway(replicas=proxy["replicas"], requests_per_s=per_s),
        standing=_standing(found, proxy),
        general_pool=_pool(variables["general_pool"]),
        gpu_pool=_pool({**gpu, "min_nodes": 0}),
        scrape_s=_seconds(scrape["interval"]),
        node_idle_s=_idle_s(),
    )


def _built(overlay: str) -> dict[tuple[str, str], Manifest]:
    folder = str(ROOT / "kubernetes/overlays" / overlay)
    built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=True)  # noqa: S603, S607
    return {(found["kind"], found["metadata"]["name"]): found for found in yaml.safe_load_all(built.stdout)}


def _facade(found: Mapping[tuple[str, str], Manifest]) -> Workload:
    scaled = found["ScaledObject", "facade"]["spec"]
    behaviour = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    (trigger,) = scaled["triggers"]
    scaler = Scaler(
        metric="in_flight",
        target=float(trigger["metadata"]["threshold"]),
        least=scaled["minReplicaCount"],
        most=scaled["maxReplicaCount"],
        up=_direction(behaviour["scaleUp"]),
        down=_direction(behaviour["scaleDown"]),
    )
    return _workload(_container(found)["resources"], scaler)


def _predictor(found: Mapping[tuple[str, str], Manifest], model: str) -> Workload:
    predictor = found["InferenceService", model]["spec"]["predictor"]
    if (predictor["scaleMetric"], predictor["scaleMetricType"]) != ("cpu", "Utilization"):
        raise SystemExit(f"{model} is scaled by {predictor['scaleMetric']}, which thale.capacity does not know")
    scaler = Scaler(
        metric="processor",
        target=predictor["scaleTarget"] / 100,
        least=predictor["minReplicas"],
        most=predictor["maxReplicas"],
        up=_UP,
        down=_DOWN,
    )
    return _workload(predictor["model"]["resources"], scaler)


def _workload(resources: Manifest, scaler: Scaler) -> Workload:
    requests, limits = resources["requests"], resources["limits"]
    return Workload(
        cpu_request=_cores(requests["cpu"]),
        cpu_limit=_cores(limits["cpu"]),
        memory_request_mib=_mib(requests["memory"]),
        scaler=scaler,
    )


def _direction(told: Manifest) -> Direction:
    rules = [Rule(type=rule["type"], value=rule["value"], period_s=rule["periodSeconds"]) for rule in told["policies"]]
    return Direction(stabilization_s=told["stabilizationWindowSeconds"], rules=tuple(rules))


def _places(found: Mapping[tuple[str, str], Manifest]) -> Places:
    """Return the facade's own defaults, unless the manifest sets others."""
    told = {variable["name"]: variable.get("value") for variable in _container(found)["env"]}

    def setting(name: str) -> Any:
        given = told.get(f"THALE_{name.upper()}")
        return Settings.model_fields[name].default if given is None else given

    return Places(
        working=setting("max_in_flight"),
        waiting=setting("max_waiting"),
        wait_s=setting("max_wait_s"),
        deadline_s=setting("request_deadline_s"),
        measuring=setting("measuring_processes"),
    )


def _standing(found: Mapping[tuple[str, str], Manifest], proxy: Manifest) -> Standing:
    watcher = found["Deployment", "release-watcher"]["spec"]
    (container,) = watcher["template"]["spec"]["containers"]
    several = [
        (proxy["replicas"], proxy["container"]["resources"]["requests"]),
        (watcher["replicas"], container["resources"]["requests"]),
    ]
    return Standing(
        cpu=round(sum(count * _cores(requests["cpu"]) for count, requests in several), 3),
        memory_mib=sum(count * _mib(requests["memory"]) for count, requests in several),
    )


def _container(found: Mapping[tuple[str, str], Manifest]) -> Manifest:
    containers: Sequence[Manifest] = found["Deployment", "facade"]["spec"]["template"]["spec"]["containers"]
    return next(container for container in containers if container["name"] == "facade")


def _pool(told: Manifest) -> Pool:
    return Pool(vm_size=str(told["vm_size"]).strip('"'), least=told["min_nodes"], most=told["max_nodes"])


def _idle_s() -> float:
    cluster = (ROOT / "terraform/modules/region/cluster.tf").read_text(encoding="utf-8")
    (told,) = re.findall(r'scale_down_unneeded\s*=\s*"(\w+)"', cluster)
    return _seconds(told)


def _seconds(told: str) -> float:
    return float(told[:-1]) * {"s": 1, "m": 60, "h": 3600}[told[-1]]


def _cores(told: str) -> float:
    return float(told[:-1]) / 1000 if str(told).endswith("m") else float(told)


def _mib(told: str) -> float:
    return float(told[:-2]) * {"Mi": 1, "Gi": 1024}[told[-2:]]


def main() -> int:
    """Write the file. Returns the exit status."""
    FLEETS.write_bytes(dump_fleets(fleets()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
