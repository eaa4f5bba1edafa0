"""From weights to probabilities: the net of a model card, run by OpenVINO or by torch.

Both engines hold the same graph, the net and its softmax or sigmoid, in float32. OpenVINO is the default because a
worker starts from its cached graph without torch (figures in ARCHITECTURE.md); torch stays as the alternative that
checks it. Whatever needs torch is in `torch_engine`, and imported within the functions here that need it.
"""

import hashlib
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
import openvino
from numpy.typing import NDArray

from thale.errors import ArchiveError
from thale.schemas import ModelCard

logger = logging.getLogger(__name__)

EngineName = Literal["openvino", "torch"]
_STRIDE = ("thale", "stride")
"""Where a graph carries its net's stride."""


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
    card: ModelCard,
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
    if name == "torch":
        from thale_models.torch_engine import TorchEngine

        return TorchEngine(card, weights, threads)
    graph = _load_or_convert_graph(card, weights, cache) if cache else _convert(card, weights)
    return _OpenVinoEngine(_compile(graph, threads), int(graph.get_rt_info(list(_STRIDE)).value))


@dataclass(frozen=True)
class _OpenVinoEngine:
    request: Any
    stride: int
    name: str = f"openvino {openvino.__version__.split('-')[0]}"

    def __call__(self, batch_N3HW: NDArray[np.float32]) -> NDArray[np.float32]:
        return cast(NDArray[np.float32], self.request.infer([batch_N3HW], share_inputs=True)[0])


def _convert(card: ModelCard, weights: Path) -> openvino.Model:
    from thale_models.torch_engine import load_net, trace_model

    model, stride = load_net(card, weights)
    traced, example = trace_model(model, stride)
    graph = openvino.convert_model(traced, example_input=example)
    # Any tile size: fixed shapes gain 1 to 2 % and would make a small picture pay for a whole tile.
    graph.reshape([-1, 3, -1, -1])
    graph.set_rt_info(stride, list(_STRIDE))
    return graph


def _load_or_convert_graph(card: ModelCard, weights: Path, cache: Path) -> openvino.Model:
    """Return the graph from the cache; convert it where there is none, or none that can be read."""
    folder = cache / _cache_key(card)
    if folder.is_dir():
        try:
            return openvino.Core().read_model(folder / "graph.xml")
        except RuntimeError:
            logger.warning("cached graph unreadable", extra={"folder": str(folder)})
            shutil.rmtree(folder, ignore_errors=True)
    graph = _convert(card, weights)
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=cache) as temp_dir:
        staging_dir = Path(temp_dir) / "graph"
        staging_dir.mkdir()
        openvino.save_model(graph, staging_dir / "graph.xml", compress_to_fp16=False)
        try:
            staging_dir.rename(folder)
        except OSError:
            logger.info("cached graph already present", extra={"folder": str(folder)})
    return graph


def _cache_key(card: ModelCard) -> str:
    """Return a name that changes with anything that changes the graph: weights, net, code of the net, OpenVINO."""
    source_path = Path(__file__)
    code = b"".join(
        source_path.with_name(name).read_bytes() for name in ("nets.py", "torch_engine.py", source_path.name)
    )
    components = (
        card.weights_sha256,
        card.task,
        str(len(card.classes)),
        card.net,
        repr(sorted(card.net_options.items())),
        hashlib.sha256(code).hexdigest(),
        openvino.__version__,
    )
    return hashlib.sha256("\n".join(components).encode()).hexdigest()


def _compile(graph: openvino.Model, threads: int) -> Any:
    options = {
        "INFERENCE_PRECISION_HINT": "f32",  # left alone, a processor with AMX would choose bf16
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
    }
    return openvino.Core().compile_model(graph, "CPU", options).create_infer_request()
