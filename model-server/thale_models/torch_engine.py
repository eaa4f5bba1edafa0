"""torch engine: the reference for OpenVINO's engine, and the trace that OpenVINO converts.

This code is not in `engine`, because importing torch takes longer than the rest of a worker's start. A worker with a
cached graph does not need it (docs/adr/0010-minimal-imports-at-start.md).
"""

from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from thale.errors import ArchiveError
from thale.schemas import ModelCard
from thale_models import nets


class TorchEngine:
    """A network with its weights, run by torch. Implements `engine.Engine`."""

    def __init__(self, card: ModelCard, weights: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        model, self.stride = load_net(card, weights)
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
        self.name = f"torch {torch.__version__}"

    @torch.inference_mode()
    def __call__(self, batch_N3HW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities, N x classes x H x W."""
        batch = torch.from_numpy(batch_N3HW).contiguous(memory_format=torch.channels_last)
        return cast(NDArray[np.float32], self.model(batch).contiguous().numpy())


def load_net(card: ModelCard, weights: Path) -> tuple[nn.Module, int]:
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
