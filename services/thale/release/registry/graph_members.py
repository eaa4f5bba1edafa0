"""OpenVINO graph of an archive: validation of its two files without OpenVINO.

`graph.xml` is the graph and `graph.bin` has its constants. A worker loads them instead of converting the network, which
needs torch. The graph has only the operations that convolutional networks consist of, and each constant lies inside
`graph.bin`, so that OpenVINO gets no input that it would have to distrust (docs/adr/0138-graph-in-the-archive.md).
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast, get_args

from lxml import etree

from thale.errors import ArchiveError
from thale.release.registry.safetensors_header import TensorSpan, check_finite
from thale.schemas import ModelCard

GRAPH = "graph.xml"
GRAPH_CONSTANTS = "graph.bin"
MAX_GRAPH_BYTES = 4 * 2**20
"""Maximum size of `graph.xml`. The default models have 82 kB, and 250 kB if they are quantised."""
IR_VERSION = "11"

GraphPrecision = Literal["float32", "int8"]
"""Arithmetic of the convolutions that a graph states itself. bfloat16 is a choice of the engine, not of the graph."""

_OPERATIONS = frozenset(
    {
        *("Parameter", "Result", "Const", "Convolution", "MaxPool", "Interpolate", "ReLU", "Softmax", "SoftMax"),
        *("Sigmoid", "Add", "Subtract", "Multiply", "Divide", "FakeQuantize", "Convert", "Concat", "Gather", "Reshape"),
        *("ShapeOf", "Transpose", "Squeeze", "Unsqueeze", "StridedSlice", "BatchNormInference", "GroupConvolution"),
        *("ConvolutionBackpropData", "AvgPool", "DepthToSpace", "SpaceToDepth", "Pad", "Clamp", "PReLU", "Swish"),
    }
)
"""Operations without subgraphs, files, states, or loops."""
_BITS = {"f32": 32, "f16": 16, "i64": 64, "i32": 32, "i8": 8, "u8": 8, "u64": 64}
_FLOATS = {"f32": "F32", "f16": "F16"}
_REMEDY = "pack the model again with `thale-models archive`"


@dataclass(frozen=True)
class GraphInfo:
    """Record of thale in a graph: its model's weights, stride and precision."""

    weights_sha256: str
    stride: int
    precision: GraphPrecision


def check_graph(graph: bytes, constants: Iterable[bytes], constants_bytes: int, card: ModelCard) -> GraphInfo:
    """Validate the graph of a model, and return what it records.

    Args:
        graph: The content of `graph.xml`.
        constants: The content of `graph.bin` in chunks.
        constants_bytes: Its size in bytes.
        card: The card of the model.

    Raises:
        ArchiveError: If the graph is not one of this card's weights and precision, or could do more than compute.
    """
    root = _parse(graph)
    info = _read_info(root)
    if info.weights_sha256 != card.weights_sha256:
        raise ArchiveError(f"{GRAPH} belongs to other weights than {card.name} {card.version}: {_REMEDY}")
    if (info.precision == "int8") != (card.precision == "int8"):
        raise ArchiveError(f"{GRAPH} computes in {info.precision}, but the card states {card.precision}: {_REMEDY}")
    check_finite(constants, sorted(set(_constant_spans(root, constants_bytes)), key=lambda span: span.begin))
    return info


def graph_digest(graph: bytes, constants: Iterable[bytes]) -> str:
    """Return a SHA-256 of both files of a graph."""
    digest = hashlib.sha256()
    for chunk in constants:
        digest.update(chunk)
    return hashlib.sha256(hashlib.sha256(graph).digest() + digest.digest()).hexdigest()


def _parse(graph: bytes) -> etree._Element:
    if len(graph) > MAX_GRAPH_BYTES:
        raise ArchiveError(f"{GRAPH} is larger than {MAX_GRAPH_BYTES} bytes")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(graph, parser)
    except etree.XMLSyntaxError as error:
        raise ArchiveError(f"{GRAPH} is not XML ({error}): {_REMEDY}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise ArchiveError(f"{GRAPH} has a DOCTYPE, which no graph needs: {_REMEDY}")
    if root.tag != "net" or root.get("version") != IR_VERSION:
        raise ArchiveError(f"{GRAPH} is not an OpenVINO graph of IR version {IR_VERSION}: {_REMEDY}")
    return root


def _read_info(root: etree._Element) -> GraphInfo:
    values = {name: root.find(f"rt_info/thale/{name}") for name in ("weights_sha256", "stride", "precision")}
    texts = {name: element.get("value", "") for name, element in values.items() if element is not None}
    stride, precision = texts.get("stride", ""), texts.get("precision", "")
    if not (stride.isascii() and stride.isdecimal() and 0 < int(stride[:6]) <= 4096):
        raise ArchiveError(f"{GRAPH} records no stride: {_REMEDY}")
    if precision not in get_args(GraphPrecision):
        raise ArchiveError(f"{GRAPH} records no known precision: {_REMEDY}")
    return GraphInfo(texts.get("weights_sha256", ""), int(stride), cast(GraphPrecision, precision))


def _constant_spans(root: etree._Element, constants_bytes: int) -> Iterator[TensorSpan]:
    """Yield the floats of each constant, after a check of all operations.

    Several constants may share their bytes. They must not overlap otherwise.
    """
    edges = set()
    for layer in root.iter("layer"):
        name, kind, opset = (layer.get(key, "") for key in ("name", "type", "version"))
        if kind not in _OPERATIONS or not opset.startswith("opset"):
            raise ArchiveError(f"{GRAPH} has the operation {opset} {kind}, which no thale model needs: {_REMEDY}")
        if kind != "Const":
            continue
        data = layer.find("data")
        kind_of_number, begin, size = _read_constant(data, name)
        if begin + size > constants_bytes:
            raise ArchiveError(f"the constant {name!r} of {GRAPH} is not inside {GRAPH_CONSTANTS}: {_REMEDY}")
        edges.add((begin, begin + size))
        if kind_of_number in _FLOATS:
            yield TensorSpan(f"bytes {begin} to {begin + size}", _FLOATS[kind_of_number], begin, begin + size)
    if any(left[1] > right[0] for left, right in pairwise(sorted(edges))):
        raise ArchiveError(f"constants of {GRAPH} overlap: {_REMEDY}")


def _read_constant(data: etree._Element | None, name: str) -> tuple[str, int, int]:
    """Return the type of the numbers of a constant, its offset and its size in bytes."""
    attributes = dict(data.attrib) if data is not None else {}
    kind = attributes.get("element_type", "")
    texts = [attributes.get("offset", ""), attributes.get("size", "")]
    shape = [text.strip() for text in attributes.get("shape", "").split(",") if text.strip()]
    if kind not in _BITS or not all(text.isascii() and text.isdecimal() and len(text) < 12 for text in texts + shape):
        raise ArchiveError(f"the constant {name!r} of {GRAPH} has no valid type, shape, offset or size: {_REMEDY}")
    begin, size = (int(text) for text in texts)
    elements = 1
    for side in shape:
        elements *= int(side)
    if elements * _BITS[kind] != size * 8:
        raise ArchiveError(f"the constant {name!r} of {GRAPH} does not have the size of its shape: {_REMEDY}")
    return kind, begin, size
