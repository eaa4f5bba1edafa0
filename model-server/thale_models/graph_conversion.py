"""Conversion of a network to an OpenVINO graph. It imports torch, which takes longer than the start of a worker."""

from pathlib import Path

import openvino

from thale.schemas import ModelCard

STRIDE = ("thale", "stride")
"""Path of the stride in the runtime information of a graph."""


def convert(card: ModelCard, weights: Path) -> openvino.Model:
    """Return the graph of a model in float32, with its stride. Imports torch.

    Raises:
        ArchiveError: If the weights do not fit the card's network.
    """
    from thale_models.torch_engine import load_net, trace_model

    model, stride = load_net(card, weights)
    traced, example = trace_model(model, stride)
    graph = openvino.convert_model(traced, example_input=example)
    # Dynamic tile size: fixed shapes gain 1 to 2 %, but a small image would then cost a whole tile.
    graph.reshape([-1, 3, -1, -1])
    graph.set_rt_info(stride, list(STRIDE))
    return graph
