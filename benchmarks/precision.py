"""CPU seconds of a photograph in the network of a model in two versions, in turn: float32 and a lower precision.

The photograph is a drawn plate of 12 megapixels. Each repetition runs both versions, in the opposite order every other
time, so that other processes affect both. The graphs run with one thread.

    python benchmarks/precision.py model-server/weights/plate-seg/1.0.0 INT8_FOLDER [--repeats 5]
"""

import argparse
import resource
import statistics
import sys
from pathlib import Path

from thale.imaging.calibration import calibrate
from thale.imaging.image_io import decode
from thale.models.model_card import CARD, WEIGHTS, parse_model_card
from thale_models.engine import load_engine
from thale_models.inference import find_landmarks, segment
from thale_models.synthesis import draw_plate


def main() -> None:
    """Measure and print both medians, and the median ratio of the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs=2, help="folder of the float32 version, and of the other one")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    plate = draw_plate(6, plants=5, width=4200, height=3000)
    image_HW3 = decode(plate.encoded)
    calibration = calibrate(image_HW3, plate.mm_per_px)
    versions = []
    for folder in options.folders:
        card = parse_model_card((folder / CARD).read_bytes())
        versions.append((card, load_engine(card, folder / WEIGHTS, threads=1)))
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(options.repeats + 1):
        for index in (0, 1) if turn % 2 == 0 else (1, 0):
            card, engine = versions[index]
            started_s = _cpu_seconds()
            if card.task == "segmentation":
                segment(image_HW3, card, engine, calibration, include_ridges=False)
            else:
                find_landmarks(image_HW3, card, engine, calibration)
            if turn:  # the first turn is the warm-up
                seconds[index].append(_cpu_seconds() - started_s)
    for (card, engine), values in zip(versions, seconds, strict=True):
        line = f"{card.name} {card.version}, {engine.name}: {statistics.median(values):.2f} s of CPU time\n"
        sys.stdout.write(line)
    ratio = statistics.median(first / second for first, second in zip(*seconds, strict=True))
    sys.stdout.write(f"ratio of the pairs {ratio:.2f}, with resampling and normalisation, without ridges\n")


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
