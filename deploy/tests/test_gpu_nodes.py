"""GPU nodes that the overlay's predictors need, against the node pools of the tfvars."""

import shutil
from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from deploy.context import DeployContext
from deploy.gpu_nodes import missing_gpu_nodes
from deploy.settings import DeploySettings, Environment
from tests.support.deploy_environment import REPOSITORY

SHARED = """
config:
  map:
    default: |-
      version: v1
      sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 2}]}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is missing: it builds the overlays")
    for folder in ("kubernetes", "terraform/environments"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    return tmp_path


def make_context(root: Path, environment: Environment, *components: str) -> DeployContext:
    path = root / "kubernetes" / "overlays" / f"aks-{environment}" / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text())
    kustomization["components"] += [f"../../components/{name}" for name in components]
    path.write_text(yaml.safe_dump(kustomization))
    return DeployContext(DeploySettings(environment=environment), Console(file=StringIO()), root)


def set_max_nodes(root: Path, environment: Environment, before: int, after: int) -> None:
    path = root / "terraform" / "environments" / f"{environment}.tfvars"
    text = path.read_text()
    pool = f'purpose = "inference", vm_size = "Standard_NC4as_T4_v3", max_nodes = {before}'
    assert pool in text
    path.write_text(text.replace(pool, pool.removesuffix(str(before)) + str(after)))


def test_cpu_predictors_need_no_gpu_nodes(root: Path) -> None:
    assert missing_gpu_nodes(make_context(root, Environment.PROD)) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "components", "needed", "present"),
    [
        (Environment.DEV, ("gpu",), 2, 1),
        (Environment.STAGING, ("gpu",), 4, 2),
        (Environment.PROD, ("gpu",), 6, 4),
        (Environment.PROD, ("gpu", "scale-to-zero"), 2, 4),
    ],
)
def test_gpu_pool_is_compared_with_the_replicas(
    root: Path, environment: Environment, components: tuple[str, ...], needed: int, present: int
) -> None:
    """docs/gpu.md has the same numbers."""
    context = make_context(root, environment, *components)
    if present >= needed:
        assert missing_gpu_nodes(context) == []
        return
    (missing,) = missing_gpu_nodes(context)
    assert missing.description.startswith(f"{needed} GPU nodes for the minimum replicas")
    assert f"gpu_pools has {present} for inference" in missing.description
    set_max_nodes(root, environment, present, needed)
    assert missing_gpu_nodes(context) == []


@pytest.mark.slow
def test_shared_gpus_need_half_the_nodes(root: Path) -> None:
    (root / "kubernetes" / "platform" / "values" / "nvidia-device-plugin.yaml").write_text(SHARED)
    assert missing_gpu_nodes(make_context(root, Environment.STAGING, "gpu")) == []
