"""Manifests of the overlays, built with the real kustomize, and access to their parts."""

import functools
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

KUBERNETES = Path(__file__).parents[2] / "kubernetes"
OVERLAYS = ("laptop", "aks-dev", "aks-staging", "aks-prod")
ON_AZURE = tuple(overlay for overlay in OVERLAYS if overlay.startswith("aks-"))

Manifest = dict[str, Any]


def build(folder: Path) -> list[Manifest]:
    """Return the manifests of a folder with a kustomization.yaml. Skips the test without kubectl."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is missing: it builds the overlays")
    result = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return list(yaml.load_all(result.stdout, yaml.CSafeLoader))  # ten times faster than `safe_load_all`


@functools.cache
def overlay(name: str) -> Sequence[Manifest]:
    """Return the manifests of an overlay. They are built once and shared: do not change them."""
    return build(KUBERNETES / "overlays" / name)


def build_with_components(temp_dir: Path, name: str, *components: str) -> list[Manifest]:
    """Return the manifests of an overlay with further components, listed last."""
    shutil.copytree(KUBERNETES, temp_dir / "kubernetes", ignore=shutil.ignore_patterns("__pycache__"))
    folder = temp_dir / "kubernetes" / "overlays" / name
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    kustomization["components"] += [f"../../components/{component}" for component in components]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return build(folder)


def of_kind(manifests: Sequence[Manifest], kind: str) -> dict[str, Manifest]:
    """Return the manifests of a kind, by name."""
    return {found["metadata"]["name"]: found for found in manifests if found["kind"] == kind}


def containers(manifests: Sequence[Manifest]) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Yield each container of thale: its name, the pod's spec, and its own spec.

    A predictor's container is the one of the ServingRuntime with the overrides of the InferenceService.
    """
    for name, deployment in of_kind(manifests, "Deployment").items():
        pod = deployment["spec"]["template"]["spec"]
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            yield f"Deployment {name}/{container['name']}", pod, container
    runtimes = of_kind(manifests, "ServingRuntime")
    for name, service in of_kind(manifests, "InferenceService").items():
        predictor = service["spec"]["predictor"]
        runtime = runtimes[predictor["model"]["runtime"]]["spec"]
        (container,) = runtime["containers"]
        pod = {"volumes": runtime["volumes"], **predictor}
        yield f"InferenceService {name}/{container['name']}", pod, {**container, **predictor["model"]}


def pod_labels(manifests: Sequence[Manifest]) -> dict[str, dict[str, str]]:
    """Return the labels of each kind of pod. KServe adds some of a predictor's labels."""
    deployments = {
        name: deployment["spec"]["template"]["metadata"]["labels"]
        for name, deployment in of_kind(manifests, "Deployment").items()
    }
    predictors = {
        name: {"serving.kserve.io/inferenceservice": name, **service["spec"]["predictor"]["labels"]}
        for name, service in of_kind(manifests, "InferenceService").items()
    }
    return {**deployments, **predictors}


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Return whether a label selector selects a pod with these labels."""
    for expression in selector.get("matchExpressions", ()):
        value = labels.get(expression["key"])
        if (expression["operator"], value is None) == ("Exists", True):
            return False
        if expression["operator"] == "In" and value not in expression["values"]:
            return False
        assert expression["operator"] in ("Exists", "In"), expression
    return selector.get("matchLabels", {}).items() <= labels.items()
