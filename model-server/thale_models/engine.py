"""Inference engines: the network of a model card, run by OpenVINO or by torch.

Both engines run the same graph: the network and its softmax or sigmoid. OpenVINO is the default, because a worker then
starts from the graph of the archive without torch (docs/adr/0138-graph-in-the-archive.md). On a CPU it runs in float32,
unless the card permits a lower precision (docs/adr/0139-precision-by-the-card.md). torch is the reference that OpenVINO
is tested against, and the engine for GPUs (docs/adr/0108-torch-engine-on-gpus.md). Code that needs torch is in
`torch_engine`, which the functions here import lazily.
"""

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
import openvino
from numpy.typing import NDArray

from thale.errors import ArchiveError, DeviceError
from thale.host.cores import available_cores
from thale.release.registry.graph_members import GRAPH
from thale.schemas import ModelCard
from thale.schemas.model_card import Precision as CardPrecision
from thale_models.graph_conversion import STRIDE, convert
from thale_models.graph_files import read_graph
from thale_models.torch_options import Precision, TorchOptions

logger = logging.getLogger(__name__)

EngineName = Literal["openvino", "torch"]


class Engine(Protocol):
    """A loaded model. Not safe for concurrent calls."""

    @property
    def name(self) -> str:
        """Name and version of the engine, for the provenance of a prediction."""

    @property
    def stride(self) -> int:
        """Stride in pixels. Height and width of a batch are multiples of it."""

    @property
    def batch_size(self) -> int:
        """Maximum number of tiles in one call. More than one is faster on a GPU only."""

    def __call__(self, batch_N3HW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities, N x classes x H x W: softmax for a segmentation, sigmoid for landmarks."""


def load_engine(
    card: ModelCard,
    weights: Path,
    name: EngineName = "openvino",
    *,
    threads: int = 0,
    cache: Path | None = None,
    torch_options: TorchOptions | None = None,
) -> Engine:
    """Load a model.

    Args:
        card: The model's card.
        weights: Its `weights.safetensors`. OpenVINO loads the graph next to it, if it belongs to these weights.
        name: The engine.
        threads: CPU threads of one call; 0 uses every core available to this process, within the CPU limit of its
            container.
        cache: Folder of OpenVINO graphs of models without one, kept between starts. None converts the network at each
            start. OpenVINO trusts the files in it, so only this user may have write access.
        torch_options: Device and arithmetic of the torch engine, by default float32 on the CPU. The precision float32
            applies to OpenVINO as well.

    Raises:
        ArchiveError: If the weights do not have the digest of the card, or do not fit its network, or if an int8 model
            has no quantised graph.
        DeviceError: If the engine cannot run on the device.
    """
    torch_options = torch_options or TorchOptions()
    threads = threads or available_cores().count
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if digest != card.weights_sha256:
        raise ArchiveError(
            f"the weights of {card.name} {card.version} have SHA-256 {digest}, but the card states "
            f"{card.weights_sha256}: create the archive again from one training run"
        )
    if name == "torch":
        from thale_models.torch_engine import TorchEngine, open_device

        engine = TorchEngine(card, weights, threads, open_device(torch_options))
        if torch_options.device == "cuda":
            engine.warm_up(card.tile_px)
        return engine
    if torch_options.device != "cpu":
        raise DeviceError(
            f"the engine {name} does not run on {torch_options.device}: set THALE_WORKER_ENGINE=torch, or "
            "THALE_WORKER_DEVICE=cpu"
        )
    graph = _read_ready_graph(card, weights.parent)
    if graph is None:
        graph = _load_or_convert_graph(card, weights, cache) if cache else convert(card, weights)
    precision = choose_precision(card.precision, torch_options.precision, cpu_capabilities())
    request = _compile(graph, threads, precision)
    return _OpenVinoEngine(request, int(graph.get_rt_info(list(STRIDE)).value), name=_engine_name(precision))


def cpu_capabilities() -> Collection[str]:
    """Return what OpenVINO finds on this processor, such as `BF16` for bfloat16 instructions."""
    return cast(Collection[str], openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def choose_precision(card: CardPrecision, setting: Precision, capabilities: Collection[str]) -> CardPrecision:
    """Return the precision in which OpenVINO runs a network.

    The same card, setting and processor always give the same one. Without bfloat16 instructions, emulation would be
    slower than float32.

    Args:
        card: The lowest precision that the evaluation of the model permits. int8 is part of its graph.
        setting: The worker's setting: float32 excludes bfloat16.
        capabilities: Those of this processor (`cpu_capabilities`).
    """
    if card == "bfloat16" and (setting not in ("auto", "bfloat16") or "BF16" not in capabilities):
        return "float32"
    return card


@dataclass(frozen=True)
class _OpenVinoEngine:
    request: Any
    stride: int
    name: str
    batch_size: int = 1

    def __call__(self, batch_N3HW: NDArray[np.float32]) -> NDArray[np.float32]:
        return cast(NDArray[np.float32], self.request.infer([batch_N3HW], share_inputs=True)[0])


def _engine_name(precision: CardPrecision) -> str:
    version = f"openvino {openvino.__version__.split('-')[0]}"
    return version if precision == "float32" else f"{version}, {precision}"


def _read_ready_graph(card: ModelCard, folder: Path) -> openvino.Model | None:
    """Return the graph of a model's folder. None if it has none of these weights, or one of a newer OpenVINO."""
    if read_graph(folder, card) is not None:
        try:
            return openvino.Core().read_model(folder / GRAPH)
        except RuntimeError as error:
            logger.warning("graph unreadable", extra={"folder": str(folder), "error": str(error)})
    if card.precision == "int8":
        raise ArchiveError(
            f"{card.name} {card.version} has no quantised graph that OpenVINO {openvino.__version__.split('-')[0]} can "
            "read: make one with `thale-models lower-precision`"
        )
    return None


def _load_or_convert_graph(card: ModelCard, weights: Path, cache: Path) -> openvino.Model:
    """Return the graph from the cache. Convert it if the cache has no readable graph."""
    folder = cache / _cache_key(card)
    if folder.is_dir():
        try:
            return openvino.Core().read_model(folder / "graph.xml")
        except RuntimeError:
            logger.warning("cached graph unreadable", extra={"folder": str(folder)})
            shutil.rmtree(folder, ignore_errors=True)
    graph = convert(card, weights)
    try:
        _store_graph(graph, folder)
    except (OSError, RuntimeError) as error:  # OpenVINO raises RuntimeError if the disk is full
        logger.warning("graph not cached", extra={"folder": str(folder), "error": str(error)})
    return graph


def _store_graph(graph: openvino.Model, folder: Path) -> None:
    cache = folder.parent
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=cache) as temp_dir:
        staging_dir = Path(temp_dir) / "graph"
        staging_dir.mkdir()
        openvino.save_model(graph, staging_dir / "graph.xml", compress_to_fp16=False)
        try:
            staging_dir.rename(folder)
        except OSError:
            logger.info("cached graph already present", extra={"folder": str(folder)})


def _cache_key(card: ModelCard) -> str:
    """Return a key of everything that determines the graph: weights, network, its code, version of OpenVINO."""
    names = ("nets.py", "torch_engine.py", "graph_conversion.py")
    code = b"".join(Path(__file__).with_name(name).read_bytes() for name in names)
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


def _compile(graph: openvino.Model, threads: int, precision: CardPrecision) -> Any:
    options = {
        # The default on a CPU with AMX is bf16. The layers around int8 convolutions run in float32.
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        # Each process counts cores from the first one: with pinning, all workers of a machine share the same core.
        "ENABLE_CPU_PINNING": False,
    }
    return openvino.Core().compile_model(graph, "CPU", options).create_infer_request()
