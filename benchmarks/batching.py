"""CPU and wall seconds per tile in batches of 1, 2 and 4, for each default model on a CPU.

The batch sizes take turns, so that other processes affect all of them. Times are the fastest of several repetitions.

    python benchmarks/batching.py [--threads 1] [--repeats 7]
"""

import argparse
import resource
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from thale.models.model_card import CARD, WEIGHTS, parse_model_card
from thale_models.engine import load_engine

FOLDERS = sorted((Path(__file__).parents[1] / "model-server" / "weights").glob("*/*"))
BATCHES = (1, 2, 4)


def main() -> None:
    """Measure and print one line per model and batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    for folder in FOLDERS:
        card = parse_model_card((folder / CARD).read_bytes())
        engine = load_engine(card, folder / WEIGHTS, threads=options.threads)
        side_px = card.tile_px // engine.stride * engine.stride
        tiles = np.random.default_rng(0).normal(0, 1, (max(BATCHES), 3, side_px, side_px)).astype(np.float32)
        seconds: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for _ in range(options.repeats + 1):
            for batch in BATCHES:
                cpu_s, wall_s = _cpu_seconds(), time.perf_counter()
                engine(tiles[:batch])
                seconds[batch].append((_cpu_seconds() - cpu_s, time.perf_counter() - wall_s))
        for batch in BATCHES:
            cpu_s, wall_s = (min(values) / batch for values in zip(*seconds[batch][1:], strict=True))
            line = f"{card.name:16} batch {batch}: CPU {cpu_s:.3f} s, wall {wall_s:.3f} s per tile of {side_px} px\n"
            sys.stdout.write(line)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
