"""torch engine: the engine for GPUs, the reference for OpenVINO's engine, and the trace that OpenVINO converts.

On a GPU, the network runs in half precision and in channels-last layout, on batches of tiles. Normalisation, softmax
and sigmoid stay in float32. The same GPU, precision and batch give the same bits
(docs/adr/0108-torch-engine-on-gpus.md).

This code is not in `engine`, because importing torch takes longer than the rest of a worker's start. A worker with a
cached graph does not need it (docs/adr/0010-minimal-imports-at-start.md).
"""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from thale.errors import ArchiveError, DeviceError
from thale.schemas import ModelCard
from thale_models import nets
from thale_models.torch_options import Precision, TorchOptions

logger = logging.getLogger(__name__)


_DTYPES: Mapping[Precision, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
_BFLOAT16_CAPABILITY = (8, 0)
"""Compute capability of the first GPUs with arithmetic in bfloat16 (Ampere: A10, A100)."""
_FLOAT16_CAPABILITY = (7, 0)
"""Compute capability of the first GPUs with tensor cores, which multiply in float16 (Volta, and Turing: T4)."""


@dataclass(frozen=True)
class TorchDevice:
    """A device of torch, with the arithmetic of the networks on it."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    batch_size: int = 1
    label: str = "CPU"
    """Name of the hardware, for the provenance of a prediction."""

    @property
    def engine_name(self) -> str:
        """Name and version of the engine, with device and precision unless they are those of the reference."""
        version = f"torch {torch.__version__}"
        if self.device.type == "cpu" and self.dtype == torch.float32:
            return version
        return f"{version}, {self.label}, {str(self.dtype).removeprefix('torch.')}"


class TorchEngine:
    """A network with its weights, run by torch. Implements `engine.Engine`."""

    def __init__(self, card: ModelCard, weights: Path, threads: int, device: TorchDevice | None = None) -> None:
        torch.set_num_threads(threads)
        self._device = device or TorchDevice(torch.device("cpu"))
        (net, self._activation), self.stride = load_net(card, weights)
        net.to(self._device.device, self._device.dtype)
        self._net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
        self.name = self._device.engine_name
        self.batch_size = self._device.batch_size

    @torch.inference_mode()
    def __call__(self, batch_N3HW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities, N x classes x H x W."""
        batch = torch.from_numpy(batch_N3HW).to(
            device=self._device.device, dtype=self._device.dtype, memory_format=torch.channels_last
        )
        probabilities = self._activation(self._net(batch).float())
        return cast(NDArray[np.float32], probabilities.contiguous().cpu().numpy())

    def warm_up(self, tile_px: int) -> None:
        """Run the largest and the smallest batch of tiles once.

        The first call on a GPU loads kernels and reserves memory, which takes seconds. A worker is ready afterwards.
        """
        started = time.monotonic()
        side = max(self.stride, tile_px // self.stride * self.stride)
        for size in {self.batch_size, 1}:
            self(np.zeros((size, 3, side, side), np.float32))
        logger.info("engine warmed up", extra={"engine": self.name, "seconds": round(time.monotonic() - started, 3)})


def open_device(options: TorchOptions) -> TorchDevice:
    """Return the device of the options, with deterministic arithmetic.

    Raises:
        DeviceError: If there is no GPU, or the GPU lacks the precision.
    """
    if options.device == "cpu":
        return TorchDevice(torch.device("cpu"), choose_dtype(options.precision, None))
    if not torch.cuda.is_available():
        raise DeviceError(
            f"torch {torch.__version__} finds no GPU: use the image built with DEVICE=cu130 on a node with a GPU, and "
            "a pod with the limit nvidia.com/gpu; or set THALE_WORKER_DEVICE=cpu"
        )
    _make_deterministic()
    dtype = choose_dtype(options.precision, torch.cuda.get_device_capability())
    return TorchDevice(torch.device("cuda"), dtype, options.batch_size, torch.cuda.get_device_name())


def choose_dtype(precision: Precision, capability: tuple[int, int] | None) -> torch.dtype:
    """Return the arithmetic of a network.

    `auto` prefers bfloat16 to float16 on a GPU: it has the range of float32, so that no network can overflow.

    Args:
        precision: The configured precision.
        capability: Compute capability of the GPU; None for a CPU, which has all precisions.

    Raises:
        DeviceError: If the GPU lacks the configured precision.
    """
    if precision == "auto":
        if capability is None or capability < _FLOAT16_CAPABILITY:
            return torch.float32
        return torch.bfloat16 if capability >= _BFLOAT16_CAPABILITY else torch.float16
    if capability is not None and precision == "bfloat16" and capability < _BFLOAT16_CAPABILITY:
        raise DeviceError(
            f"a GPU of compute capability {capability[0]}.{capability[1]} has no bfloat16 arithmetic: set "
            "THALE_WORKER_PRECISION to auto, float16 or float32"
        )
    return _DTYPES[precision]


def _make_deterministic() -> None:
    """Select deterministic kernels and full float32. Called before the first operation on the GPU."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by deterministic cuBLAS
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False  # would select kernels by their time in this process
    for operation in (torch.backends.cudnn.conv, torch.backends.cuda.matmul):  # type: ignore[attr-defined]  # no stub
        operation.fp32_precision = "ieee"  # TF32, the default of convolutions, rounds factors to 10 bits


def load_net(card: ModelCard, weights: Path) -> tuple[nn.Sequential, int]:
    """Return the network of a card with its softmax or sigmoid, and its stride in pixels.

    Raises:
        ArchiveError: If the network cannot be built, or the weights do not fit it.
    """
    try:
        net = nets.build_net(card.net, len(card.classes), card.net_options)
    except (ValueError, TypeError) as error:
        raise ArchiveError(f"the network of {card.name} {card.version} cannot be built: {error}") from error
    try:
        net.load_state_dict(load_file(weights))
    except (RuntimeError, SafetensorError) as error:
        raise ArchiveError(f"the weights of {card.name} {card.version} do not fit its network: {error}") from error
    activation = nn.Softmax(dim=1) if card.task == "segmentation" else nn.Sigmoid()
    return nn.Sequential(net, activation).eval(), net.stride


def trace_model(model: nn.Module, stride: int) -> tuple[torch.jit.ScriptModule, torch.Tensor]:
    """Return the trace of a model for OpenVINO, and the example input of the trace."""
    example = torch.zeros(1, 3, 2 * stride, 2 * stride)
    # OpenVINO checks a trace of its own, which takes four times as long as all other work of the conversion
    # (docs/adr/0032-convert-models-by-tracing.md).
    return torch.jit.trace(model, example, check_trace=False), example  # type: ignore[no-untyped-call]
