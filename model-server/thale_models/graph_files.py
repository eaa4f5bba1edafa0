"""OpenVINO graph in the folder of a model: `graph.xml` and `graph.bin`, converted once and loaded without torch.

The graph records the digest of its weights, its stride and its precision. A graph of other weights counts as missing.
Reading needs neither torch nor OpenVINO, so that archiving is fast.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thale.errors import ArchiveError
from thale.host.files import write_atomically
from thale.models.model_card import WEIGHTS
from thale.release.registry.graph_members import GRAPH, GRAPH_CONSTANTS, GraphInfo, GraphPrecision, check_graph
from thale.schemas import ModelCard

_INFO = "thale"


@dataclass(frozen=True)
class GraphFiles:
    """The two files of a graph, and what it records."""

    graph: bytes
    constants: bytes
    info: GraphInfo


def read_graph(folder: Path, card: ModelCard) -> GraphFiles | None:
    """Return the graph in the folder of a model. None without one, or with one of other weights.

    A damaged graph counts as missing as well.
    """
    try:
        graph, constants = (folder / GRAPH).read_bytes(), (folder / GRAPH_CONSTANTS).read_bytes()
        return GraphFiles(graph, constants, check_graph(graph, [constants], len(constants), card))
    except (FileNotFoundError, ArchiveError):
        return None


def write_graph(folder: Path, card: ModelCard) -> GraphFiles:
    """Convert the network of a model, and write the graph to its folder.

    Raises:
        ArchiveError: If the weights do not fit the card's network, or the card states int8, which needs calibration.
    """
    if card.precision == "int8":
        raise ArchiveError(
            f"{folder} has no quantised graph, but its card states int8: run `thale-models lower-precision`"
        )
    from thale_models.graph_conversion import convert

    return save_graph(convert(card, folder / WEIGHTS), folder, card, "float32")


def save_graph(graph: Any, folder: Path, card: ModelCard, precision: GraphPrecision) -> GraphFiles:
    """Write an OpenVINO model with a stride to the folder of a model, and return its files."""
    import openvino

    graph.set_friendly_name(card.name)
    graph.set_rt_info(card.weights_sha256, [_INFO, "weights_sha256"])
    graph.set_rt_info(precision, [_INFO, "precision"])
    with tempfile.TemporaryDirectory() as temp_dir:
        path = Path(temp_dir) / GRAPH
        openvino.save_model(graph, path, compress_to_fp16=False)
        for name in (GRAPH_CONSTANTS, GRAPH):
            write_atomically(folder / name, path.with_name(name).read_bytes())
    files = read_graph(folder, card)
    if files is None:
        raise ArchiveError(f"the graph of {card.name} {card.version} is not valid after its conversion: report this")
    return files
