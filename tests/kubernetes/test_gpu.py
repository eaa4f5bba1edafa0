"""The components gpu and scale-to-zero: valid objects, GPU nodes, worker settings, and the query that scales."""

import copy
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.manifests import KUBERNETES, OVERLAYS, Manifest, build_with_components, containers, of_kind, overlay
from tests.support.strict_schemas import schema_faults
from thale.facade.settings import FacadeSettings
from thale_models.handlers.settings import WorkerSettings
from thale_models.torch_options import TorchOptions

GPU_POOL = KUBERNETES.parent / "terraform" / "modules" / "gpu-pool" / "main.tf"
BOTH = ("gpu", "scale-to-zero")
CUDA_MEMORY_MIB = 3072
"""Estimate of CUDA's context and libraries in a worker, not measured."""


@pytest.fixture(scope="module", name="manifests")
def build_prod_on_gpus(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return build_with_components(tmp_path_factory.mktemp("gpu"), "aks-prod", *BOTH)


def predictors(manifests: list[Manifest]) -> list[Manifest]:
    return [service["spec"]["predictor"] for service in of_kind(manifests, "InferenceService").values()]


def worker_environment(manifests: list[Manifest]) -> dict[str, str]:
    (container,) = of_kind(manifests, "ServingRuntime")["thale-torchserve"]["spec"]["containers"]
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def external_metric(predictor: Manifest) -> Manifest:
    (metric,) = predictor["autoScaling"]["metrics"]
    assert metric["type"] == "External"
    external: Manifest = metric["external"]
    return external


@pytest.mark.slow
@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("components", [("gpu",), BOTH], ids=["gpu", "both"])
def test_components_give_valid_objects(name: str, components: tuple[str, ...], tmp_path: Path) -> None:
    manifests = build_with_components(tmp_path, name, *components)
    faults = {(each["kind"], each["metadata"]["name"]): schema_faults(each) for each in manifests}
    assert not {key: found for key, found in faults.items() if found}
    assert len(manifests) == len(overlay(name))


@pytest.mark.slow
def test_predictors_select_and_tolerate_the_gpu_pool(manifests: list[Manifest]) -> None:
    pool = GPU_POOL.read_text()
    assert '"thale/purpose" = var.purpose' in pool
    for predictor in predictors(manifests):
        assert predictor["nodeSelector"] == {"thale/purpose": "inference"}
        (toleration,) = predictor["tolerations"]
        assert f'"{toleration["key"]}={toleration["value"]}:{toleration["effect"]}"' in pool


def test_predictors_have_one_gpu_in_requests_and_limits(manifests: list[Manifest]) -> None:
    for predictor in predictors(manifests):
        resources = predictor["model"]["resources"]
        assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == "1"
        assert resources["limits"]["ephemeral-storage"] == "2Gi"


def test_predictor_fits_the_smallest_gpu_node(manifests: list[Manifest]) -> None:
    """A Standard_NC4as_T4_v3 has 4 cores and 28 GiB, of which AKS and the DaemonSets leave about 3.3 and 22."""
    for predictor in predictors(manifests):
        requests = predictor["model"]["resources"]["requests"]
        assert float(requests["cpu"]) <= 3
        assert int(requests["memory"].removesuffix("Gi")) <= 22


def test_memory_limit_has_room_for_cuda(manifests: list[Manifest]) -> None:
    def limit_mib(predictor: Manifest) -> int:
        return int(predictor["model"]["resources"]["limits"]["memory"].removesuffix("Gi")) * 1024

    (on_cpu, *_), (on_gpu, *_) = (predictors(list(found)) for found in (overlay("aks-prod"), manifests))
    assert limit_mib(on_gpu) - limit_mib(on_cpu) >= CUDA_MEMORY_MIB


def test_workers_run_torch_on_the_gpu(manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    environment = worker_environment(manifests)
    for name, value in environment.items():
        if name.startswith("THALE_WORKER_") and value:
            monkeypatch.setenv(name, value)
    settings = WorkerSettings()
    assert settings.engine == "torch"
    assert settings.torch_options == TorchOptions("cuda")
    assert environment["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert environment["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert environment["TS_NUMBER_OF_GPU"] == "0"
    names = [entry["name"] for _, _, container in containers(manifests) for entry in container.get("env", ())]
    assert "NVIDIA_VISIBLE_DEVICES" not in names, "it would bypass the device plugin"


@pytest.mark.slow
def test_gpu_alone_keeps_replicas_and_autoscaler(tmp_path: Path) -> None:
    services = of_kind(build_with_components(tmp_path, "aks-prod", "gpu"), "InferenceService")
    for name, service in services.items():
        unchanged = of_kind(overlay("aks-prod"), "InferenceService")[name]
        assert service["spec"]["predictor"]["minReplicas"] == unchanged["spec"]["predictor"]["minReplicas"] == 3
        assert service["metadata"] == unchanged["metadata"]


def test_scale_to_zero_passes_the_rules_of_kserve(manifests: list[Manifest]) -> None:
    """KServe's webhook: no scaleMetric with keda, a query and `target.value`, and the value that its type names."""
    for service in of_kind(manifests, "InferenceService").values():
        assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "keda"
        predictor = service["spec"]["predictor"]
        assert not {"scaleMetric", "scaleMetricType", "scaleTarget"} & predictor.keys()
        assert predictor["minReplicas"] == 0 < predictor["maxReplicas"]
        external = external_metric(predictor)
        assert external["metric"]["query"]
        assert external["target"] == {"type": "Value", "value": "4"}


@pytest.mark.slow
@pytest.mark.parametrize("name", OVERLAYS)
def test_scale_to_zero_queries_the_prometheus_of_the_facts(name: str, tmp_path: Path) -> None:
    manifests = build_with_components(tmp_path, name, "scale-to-zero")
    facts = yaml.safe_load((KUBERNETES / "overlays" / name / "facts.yaml").read_text())["data"]
    authentication = of_kind(manifests, "TriggerAuthentication")
    for predictor in predictors(manifests):
        external = external_metric(predictor)
        assert external["metric"]["serverAddress"] == facts["prometheus_query"]
        assert external["authenticationRef"]["authenticationRef"]["name"] in authentication


def test_facade_waits_for_replicas_only_with_scale_to_zero(manifests: list[Manifest]) -> None:
    def environment(found: list[Manifest]) -> dict[str, str]:
        (container,) = of_kind(found, "Deployment")["facade"]["spec"]["template"]["spec"]["containers"]
        return {entry["name"]: entry.get("value", "") for entry in container["env"]}

    assert environment(manifests)["THALE_SCALE_TO_ZERO"] == "true"
    assert "THALE_SCALE_TO_ZERO" not in environment(list(overlay("aks-prod")))
    assert FacadeSettings(namespace="thale", scale_to_zero="true").scale_to_zero


def promtool_test(query: str, series: dict[str, str], minutes: int, expected: float) -> Manifest:
    samples = [{"expr": query, "eval_time": f"{minutes}m", "exp_samples": [{"labels": "{}", "value": expected}]}]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    return {"interval": "15s", "input_series": inputs, "promql_expr_test": samples}


IN_FLIGHT = 'thale_facade_in_flight{namespace="thale",pod="%s"}'
UNAVAILABLE = 'thale_model_requests_total{namespace="thale",model="plate-seg",outcome="unavailable"}'


@pytest.mark.parametrize(
    ("series", "minutes", "expected"),
    [
        ({IN_FLIGHT % "a": "0x80"}, 15, 0),
        ({IN_FLIGHT % "a": "0x10 3 0x80"}, 12, 3),
        ({IN_FLIGHT % "a": "0x10 3 0x80"}, 14, 0),
        ({IN_FLIGHT % "a": "0x10 3x4 0x80", IN_FLIGHT % "b": "0x10 2x4 0x80"}, 5, 5),
        ({IN_FLIGHT % "a": "0x80", UNAVAILABLE: "0x40 1x40"}, 15, 1),
    ],
    ids=["idle", "within ten minutes", "after ten minutes", "sum of facades", "between two scrapes"],
)
def test_query_remembers_waiting_requests_for_ten_minutes(
    series: dict[str, str], minutes: int, expected: float, manifests: list[Manifest], tmp_path: Path
) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool not found: apt-get install --no-install-recommends prometheus (`make prometheus`)")
    query = external_metric(predictors(manifests)[0])["metric"]["query"]
    file = tmp_path / "query_test.yaml"
    file.write_text(yaml.safe_dump({"tests": [promtool_test(query, series, minutes, expected)]}))
    result = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr


def test_both_models_scale_by_the_same_query(manifests: list[Manifest]) -> None:
    first, second = (copy.deepcopy(external_metric(predictor)) for predictor in predictors(manifests))
    assert first == second
    assert re.search(r"\[10m:15s\]", first["metric"]["query"])
