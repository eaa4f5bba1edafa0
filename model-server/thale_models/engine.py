"""From weights to probabilities: the net of a model card, run by OpenVINO or by torch.

Both engines hold the same graph, the net and its softmax or sigmoid, in float32. OpenVINO is the default because a
worker starts from its cached graph without tracing the net again (figures in ARCHITECTURE.md); torch stays as the
alternative that checks it.
"""

import hashlib
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from thale.contract import Card
from thale.errors import ArchiveError
from thale_models import nets

logger = logging.getLogger(__name__)

EngineName = Literal["openvino", "torch"]


class Engine(Protocol):
    """A loaded model. One caller at a time."""

    @property
    def name(self) -> str:
        """Which engine this is, with its version, for the answer's provenance."""

    @property
    def stride(self) -> int:
        """Height and width of a batch are multiples of this many pixels."""

    def __call__(self, batch_N3HW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities, N x classes x H x W: softmax for a segmentation, sigmoid for landmarks."""


def load_engine(
    card: Card,
    weights: Path,
    name: EngineName = "openvino",
    *,
    threads: int = 0,
    cache: Path | None = None,
) -> Engine:
    """Load a model.

    Args:
        card: The model's card.
        weights: Its `weights.safetensors`.
        name: Which engine runs it.
        threads: Processor threads of one call; 0 takes every core that this process may use.
        cache: Folder that keeps OpenVINO's graphs between starts. None converts at each start. OpenVINO loads what
            it finds there, so nobody else may write to it.

    Raises:
        ArchiveError: If the weights are not those of the card, or do not fit its net.
    """
    threads = threads or len(os.sched_getaffinity(0))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if digest != card.weights_sha256:
        raise ArchiveError(
            f"the weights of {card.name} {card.version} have SHA-256 {digest}, their card says {card.weights_sha256}: "
            "pack the archive again from one training run"
        )
    net = _net(card)
    if name == "torch":
        return _TorchEngine(_with_weights(net, card, weights), net.stride, threads)
    graph = _cached_graph(net, card, weights, cache) if cache else _convert(net, card, weights)
    return _OpenVinoEngine(_compile(graph, threads), net.stride)


@dataclass(frozen=True)
class _OpenVinoEngine:
    request: Any
    stride: int
    name: str = f"openvino {openvino.__version__.split('-')[0]}"

    def __call__(self, batch_N3HW: NDArray[np.float32]) -> NDArray[np.float32]:
        return cast(NDArray[np.float32], self.request.infer([batch_N3HW], share_inputs=True)[0])


class _TorchEngine:
    def __init__(self, model: nn.Module, stride: int, threads: int) -> None:
        torch.set_num_threads(threads)
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
        self.stride = stride
        self.name = f"torch {torch.__version__}"

    @torch.inference_mode()
    def __call__(self, batch_N3HW: NDArray[np.float32]) -> NDArray[np.float32]:
        batch = torch.from_numpy(batch_N3HW).contiguous(memory_format=torch.channels_last)
        return cast(NDArray[np.float32], self.model(batch).contiguous().numpy())


def _net(card: Card) -> nets.BlockUNet:
    try:
        return nets.build(card.net, len(card.classes), card.net_options)
    except (ValueError, TypeError) as error:
        raise ArchiveError(f"the net of {card.name} {card.version} cannot be built: {error}") from error


def _with_weights(net: nets.BlockUNet, card: Card, weights: Path) -> nn.Module:
    try:
        net.load_state_dict(load_file(weights))
    except (RuntimeError, SafetensorError) as error:
        raise ArchiveError(f"the weights of {card.name} {card.version} do not fit its net: {error}") from error
    squash = nn.Softmax(dim=1) if card.task == "segmentation" else nn.Sigmoid()
    return nn.Sequential(net, squash).eval()


def _convert(net: nets.BlockUNet, card: Card, weights: Path) -> openvino.Model:
    example = torch.zeros(1, 3, 2 * net.stride, 2 * net.stride)
    # Traced here and not by OpenVINO, whose check of the trace takes four times as long as all the rest.
    model = _with_weights(net, card, weights)
    traced = torch.jit.trace(model, example, check_trace=False)  # type: ignore[no-untyped-call]
    graph = openvino.convert_model(traced, example_input=example)
    # Any tile size: fixed shapes gain 1 to 2 % and would make a small picture pay for a whole tile.
    graph.reshape([-1, 3, -1, -1])
    return graph


def _cached_graph(net: nets.BlockUNet, card: Card, weights: Path, cache: Path) -> openvino.Model:
    """Return the graph from the cache; convert it where there is none, or none that can be read."""
    folder = cache / _cache_key(card)
    if folder.is_dir():
        try:
            return openvino.Core().read_model(folder / "graph.xml")
        except RuntimeError:
            logger.warning("cached graph cannot be read, converting again", extra={"folder": str(folder)})
            return _convert(net, card, weights)
    graph = _convert(net, card, weights)
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        fresh = Path(scratch) / "graph"
        fresh.mkdir()
        openvino.save_model(graph, fresh / "graph.xml", compress_to_fp16=False)
        try:
            fresh.rename(folder)
        except OSError:
            logger.info("another worker cached the graph first", extra={"folder": str(folder)})
    return graph


def _cache_key(card: Card) -> str:
    """Return a name that changes with anything that changes the graph: weights, net, code of the net, OpenVINO."""
    parts = (
        card.weights_sha256,
        card.task,
        card.net,
        repr(sorted(card.net_options.items())),
        hashlib.sha256(Path(nets.__file__).read_bytes()).hexdigest(),
        openvino.__version__,
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _compile(graph: openvino.Model, threads: int) -> Any:
    options = {
        "INFERENCE_PRECISION_HINT": "f32",  # left alone, a processor with AMX would choose bf16
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
    }
    return openvino.Core().compile_model(graph, "CPU", options).create_infer_request()
