"""Peak of this machine by precision, and the share of it that OpenVINO reaches with the default segmentation model.

The peak is that of the fastest of several matrix products and 3 x 3 convolutions, run by OpenVINO in each
precision that the processor supports. A precision without instructions of its own (bf16 without AVX512_BF16 or
AMX, int8 without VNNI) is run in another one, so its line is marked: nothing about it can be shown on this
machine. Times are wall seconds of the fastest of several repetitions, so other processes must be idle.

    python benchmarks/peak.py [--threads 1] [--seconds 2]
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from openvino import opset13

from thale.models.model_card import parse_model_card
from thale_models.torch_engine import load_net, trace_model

WEIGHTS = Path(__file__).parents[1] / "model-server" / "weights" / "plate-seg" / "1.0.0"
MATRIX_SIZES = (1024, 2048)
CHANNELS, SIDE_PX = 128, 192
TILE_PX = 768
FLAGS = {"f32": (), "bf16": ("avx512_bf16", "amx_bf16"), "int8": ("avx_vnni", "avx512_vnni", "amx_int8")}
"""Flags of /proc/cpuinfo, of which one is required for a precision."""


def main() -> None:
    """Measure and print one line per precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="duration of each measurement")
    options = parser.parse_args()
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="ascii")
    processor = next(line.split(":")[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name"))
    flags = set(next(line for line in cpuinfo.splitlines() if line.startswith("flags")).split())
    sys.stdout.write(f"{processor}, {options.threads} thread(s), OpenVINO {openvino.__version__.split('-')[0]}\n")
    model, tile_flops = segmentation_model()
    for precision, required in FLAGS.items():
        peak = max(
            flops / fastest_s(graph, precision, options.threads, options.seconds)
            for graph, flops in [*products(precision), convolution(precision)]
        )
        line = f"{precision:5} peak {peak / 1e9:7.1f} GFLOP/s"
        if precision != "int8":  # the model has no quantised version
            engine = tile_flops / fastest_s(model, precision, options.threads, options.seconds)
            line += f", segmentation model {engine / 1e9:7.1f} GFLOP/s: {engine / peak:.0%}"
        is_native = not required or not flags.isdisjoint(required)
        sys.stdout.write(line + ("\n" if is_native else " (no such instructions: run in another precision)\n"))


def products(precision: str) -> Iterator[tuple[openvino.Model, float]]:
    """Yield square matrix products with their number of operations."""
    for size in MATRIX_SIZES:
        left = opset13.parameter([size, size], np.float32)
        weights = np.random.default_rng(0).normal(0, 1, (size, size)).astype(np.float32)
        product = opset13.matmul(
            quantised(left, precision), quantised(opset13.constant(weights), precision), False, False
        )
        yield openvino.Model([product], [left], "product"), 2.0 * size**3


def convolution(precision: str) -> tuple[openvino.Model, float]:
    """Return a 3 x 3 convolution with its number of operations."""
    image = opset13.parameter([1, CHANNELS, SIDE_PX, SIDE_PX], np.float32)
    weights = np.random.default_rng(0).normal(0, 1, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32)
    output = opset13.convolution(
        quantised(image, precision), quantised(opset13.constant(weights), precision), [1, 1], [1, 1], [1, 1], [1, 1]
    )
    return openvino.Model([output], [image], "convolution"), 2.0 * 9 * CHANNELS**2 * SIDE_PX**2


def quantised(node: Any, precision: str) -> Any:
    """Return a node with 8-bit values for int8, as from NNCF."""
    if precision != "int8":
        return node
    low, high = opset13.constant(np.float32(-4)), opset13.constant(np.float32(4))
    return opset13.fake_quantize(node, low, high, low, high, 255)


def segmentation_model() -> tuple[openvino.Model, float]:
    """Return the default segmentation model for one tile, with the operations of its convolutions."""
    card = parse_model_card((WEIGHTS / "card.json").read_bytes())
    network, stride = load_net(card, WEIGHTS / "weights.safetensors")
    flops = count_flops(network, torch.zeros(1, 3, TILE_PX, TILE_PX))
    traced, example = trace_model(network, stride)
    graph = openvino.convert_model(traced, example_input=example)
    graph.reshape([1, 3, TILE_PX, TILE_PX])
    return graph, flops


def count_flops(network: torch.nn.Module, tile: torch.Tensor) -> float:
    """Return the operations of all convolutions for one tile."""
    total = 0.0

    def add(module: Any, _inputs: Any, output: torch.Tensor) -> None:
        nonlocal total
        kernel = module.weight.numel() / module.weight.shape[0 if isinstance(module, torch.nn.Conv2d) else 1]
        total += 2.0 * kernel * output.numel()

    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    hooks = [module.register_forward_hook(add) for module in network.modules() if isinstance(module, kinds)]
    with torch.inference_mode():
        network(tile)
    for hook in hooks:
        hook.remove()
    return total


def fastest_s(graph: openvino.Model, precision: str, threads: int, seconds: float) -> float:
    """Return the seconds of the fastest inference with random input."""
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = openvino.Core().compile_model(graph, "CPU", options).create_infer_request()
    shape = list(graph.input(0).shape)
    values = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    fastest, ends_at = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < ends_at or fastest == float("inf"):
        started_s = time.perf_counter()
        request.infer([values], share_inputs=True)
        fastest = min(fastest, time.perf_counter() - started_s)
    return fastest


if __name__ == "__main__":
    main()
