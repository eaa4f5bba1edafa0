"""Tests of the torch engine for GPUs on a CPU: precision, layout, batches, provenance, determinism."""

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.tiny_models import TinyModel
from thale.errors import DeviceError
from thale_models import torch_engine
from thale_models.engine import load_engine
from thale_models.handlers.settings import WorkerSettings
from thale_models.torch_engine import TorchDevice, TorchEngine, choose_dtype, open_device
from thale_models.torch_options import Precision, TorchOptions

CPU = torch.device("cpu")
TOLERANCES = {torch.bfloat16: 0.02, torch.float16: 0.002, torch.float32: 0.0}
"""Maximum difference of a probability from float32. bfloat16 has 8 significant bits, float16 has 11."""


def random_batch(count: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, (count, 3, side, side)).astype(np.float32)


class RecordingLayer(nn.Module):
    """Records the precision and the layout of its input."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.inputs: list[torch.Tensor] = []

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        self.inputs.append(value)
        output: torch.Tensor = self.inner(value)
        return output


@pytest.fixture(name="torch_settings")
def restore_torch_settings() -> Iterator[None]:
    operations = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)
    precisions = [operation.fp32_precision for operation in operations]
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(was_deterministic)
    for operation, precision in zip(operations, precisions, strict=True):
        operation.fp32_precision = precision


@pytest.mark.parametrize(
    ("precision", "capability", "expected"),
    [
        ("auto", None, torch.float32),
        ("auto", (6, 1), torch.float32),
        ("auto", (7, 0), torch.float16),
        ("auto", (7, 5), torch.float16),  # T4
        ("auto", (8, 0), torch.bfloat16),  # A100
        ("auto", (9, 0), torch.bfloat16),  # H100
        ("float16", (8, 0), torch.float16),
        ("float32", (9, 0), torch.float32),
        ("bfloat16", None, torch.bfloat16),
    ],
)
def test_choose_dtype_follows_capability(
    precision: Precision, capability: tuple[int, int] | None, expected: torch.dtype
) -> None:
    assert choose_dtype(precision, capability) == expected


def test_choose_dtype_rejects_bfloat16_on_a_t4() -> None:
    with pytest.raises(DeviceError, match="THALE_WORKER_PRECISION to auto, float16 or float32"):
        choose_dtype("bfloat16", (7, 5))


@pytest.mark.parametrize("task", ["segment", "landmark"])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_half_precision_is_close_to_float32(task: str, dtype: torch.dtype, request: pytest.FixtureRequest) -> None:
    model: TinyModel = request.getfixturevalue(f"{task}er")
    batch = random_batch(2)
    engine = TorchEngine(model.card, model.weights, 1, TorchDevice(CPU, dtype, batch_size=2))
    reference = load_engine(model.card, model.weights, "torch", threads=1)
    probabilities = engine(batch)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, reference(batch), atol=TOLERANCES[dtype])
    if dtype != torch.float32:
        assert np.abs(probabilities - reference(batch)).max() > 0


def test_engine_applies_the_activation_in_float32(segmenter: TinyModel) -> None:
    engine = TorchEngine(segmenter.card, segmenter.weights, 1, TorchDevice(CPU, torch.bfloat16))
    # In bfloat16, a sum of probabilities differs from 1 by up to 1/256.
    np.testing.assert_allclose(engine(random_batch(1)).sum(axis=1), 1, atol=1e-6)


def test_network_receives_its_precision_in_channels_last(segmenter: TinyModel) -> None:
    engine = TorchEngine(segmenter.card, segmenter.weights, 1, TorchDevice(CPU, torch.float16))
    recorder = RecordingLayer(engine._net)
    engine._net = recorder
    engine(random_batch(2))
    (received,) = recorder.inputs
    assert received.dtype == torch.float16
    assert received.is_contiguous(memory_format=torch.channels_last)
    weights = [value for value in engine._net.parameters() if value.ndim == 4 and value.shape[1] > 1]
    assert all(value.dtype == torch.float16 for value in weights)
    assert all(value.is_contiguous(memory_format=torch.channels_last) for value in weights)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_engine_returns_the_same_bits_again(dtype: torch.dtype, segmenter: TinyModel) -> None:
    batch = random_batch(3)
    engines = [TorchEngine(segmenter.card, segmenter.weights, 1, TorchDevice(CPU, dtype, 3)) for _ in range(2)]
    predictions = [engine(batch) for engine in (*engines, engines[0])]
    np.testing.assert_array_equal(predictions[0], predictions[1])
    np.testing.assert_array_equal(predictions[0], predictions[2])


def test_engine_name_has_device_and_precision(segmenter: TinyModel) -> None:
    device = TorchDevice(torch.device("cuda"), torch.float16, 8, "Tesla T4")
    assert device.engine_name == f"torch {torch.__version__}, Tesla T4, float16"
    assert TorchDevice(CPU).engine_name == f"torch {torch.__version__}"
    assert TorchEngine(segmenter.card, segmenter.weights, 1).name == f"torch {torch.__version__}"


def test_warm_up_runs_the_largest_and_the_smallest_batch(segmenter: TinyModel) -> None:
    engine = TorchEngine(segmenter.card, segmenter.weights, 1, TorchDevice(CPU, batch_size=4))
    recorder = RecordingLayer(engine._net)
    engine._net = recorder
    engine.warm_up(segmenter.card.tile_px)
    assert sorted(tuple(value.shape) for value in recorder.inputs) == [(1, 3, 64, 64), (4, 3, 64, 64)]


def test_load_engine_warms_a_gpu_before_it_returns(segmenter: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    warmed: list[int] = []
    monkeypatch.setattr(
        torch_engine, "open_device", lambda options: TorchDevice(CPU, torch.float32, options.batch_size)
    )
    monkeypatch.setattr(TorchEngine, "warm_up", lambda _, tile_px: warmed.append(tile_px))
    engine = load_engine(segmenter.card, segmenter.weights, "torch", torch_options=TorchOptions("cuda", "auto", 6))
    assert warmed == [segmenter.card.tile_px]
    assert engine.batch_size == 6


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_load_engine_names_the_remedy_without_a_gpu(segmenter: TinyModel) -> None:
    with pytest.raises(DeviceError, match="finds no GPU: use the image built with DEVICE=cu130"):
        load_engine(segmenter.card, segmenter.weights, "torch", torch_options=TorchOptions("cuda"))


def test_load_engine_rejects_openvino_on_a_gpu(segmenter: TinyModel) -> None:
    with pytest.raises(DeviceError, match="set THALE_WORKER_ENGINE=torch"):
        load_engine(segmenter.card, segmenter.weights, "openvino", torch_options=TorchOptions("cuda"))


@pytest.mark.slow
@pytest.mark.usefixtures("torch_settings")
def test_open_device_makes_the_gpu_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    device = open_device(TorchOptions("cuda", "auto", 5))
    assert device == TorchDevice(torch.device("cuda"), torch.float16, 5, "Tesla T4")
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.conv.fp32_precision == "ieee"
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert os.environ.pop("CUBLAS_WORKSPACE_CONFIG") == ":4096:8"


def test_worker_settings_select_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert WorkerSettings().torch_options == TorchOptions("cpu", "auto", 8)
    for name, value in (("ENGINE", "torch"), ("DEVICE", "cuda"), ("PRECISION", "float16"), ("BATCH_SIZE", "4")):
        monkeypatch.setenv(f"THALE_WORKER_{name}", value)
    settings = WorkerSettings()
    assert settings.engine == "torch"
    assert settings.torch_options == TorchOptions("cuda", "float16", 4)


@pytest.mark.slow
def test_engine_module_imports_no_torch() -> None:
    program = "import sys, thale_models.engine, thale_models.handlers.settings; print('torch' in sys.modules)"
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert completed.stdout == "False\n"
