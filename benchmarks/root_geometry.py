"""Accuracy of root diameters and insertion angles on synthetic plates, whose roots have known widths and lines.

    python benchmarks/root_geometry.py --plates 8

A traced root is compared with the drawn root whose tip is nearest to its own, within 1 mm. The drawn diameter is its
mean; the insertion angle of the drawn lines is computed by the same definition.
"""

import argparse
import csv
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.insertion_angle import insertion_angles
from thale.schemas import Phenotype
from thale_models.evaluation.plate_scores import evaluate_plate
from thale_models.evaluation.run import load_models
from thale_models.synthesis import draw_plate
from thale_models.synthesis.plate import SyntheticPlate, TrueRoot

FIRST_SEED = 910_000
"""Seeds of training plates are below this one."""

MATCH_MM = 1.0
CLASSES_PX = (2.0, 2.75, 3.5, 5.0, 7.0, 13.5)


class Row(NamedTuple):
    """One root: drawn and measured diameter (source px), drawn and measured insertion angle (degrees)."""

    seed: int
    root: str
    order: int
    px_per_mm: float
    drawn_px: float
    measured_px: float
    drawn_deg: float
    measured_deg: float


def compare(plate: SyntheticPlate, phenotype: Phenotype) -> Iterator[Row]:
    """Yield the traced roots that end at the tip of a drawn root."""
    drawn = [root for plant in plate.plants for root in plant.roots]
    index = {root.id: number for number, root in enumerate(drawn)}
    lines = [polyline.resample(np.array(root.points)) for root in drawn]
    parents = [index.get(root.parent) if root.parent is not None else None for root in drawn]
    angles = insertion_angles(lines, parents, 1 / plate.mm_per_px)
    for root in (root for plant in phenotype.plants for root in plant.roots):
        number = nearest(drawn, root.points[-1], MATCH_MM / plate.mm_per_px)
        if number is not None:
            yield Row(
                plate.seed,
                root.id,
                root.order,
                1 / plate.mm_per_px,
                drawn[number].width_px,
                root.diameter_px,
                angles[number],
                root.insertion_angle_deg,
            )


def nearest(drawn: Sequence[TrueRoot], tip: tuple[float, float], max_px: float) -> int | None:
    """Return the index of the drawn root whose tip is nearest, or None beyond `max_px`."""
    distances = [math.dist(root.points[-1], tip) for root in drawn]
    number = int(np.argmin(distances)) if distances else 0
    return number if distances and distances[number] <= max_px else None


def summarise(rows: Sequence[Row]) -> str:
    """Return one line for each class of drawn diameters, and one for the insertion angles."""
    lines = [
        f"{'drawn diameter, px':20} {'roots':>6} {'known':>6} {'bias px':>8} {'bias %':>7} {'95 % |error| px':>16}"
    ]
    for low, high in pairwise(CLASSES_PX):
        chosen = [row for row in rows if low <= row.drawn_px < high]
        known = [row for row in chosen if math.isfinite(row.measured_px)]
        if known:
            errors = np.array([row.measured_px - row.drawn_px for row in known])
            relative = np.median([row.measured_px / row.drawn_px - 1 for row in known])
            lines.append(
                f"{low:5.2f} to {high:5.2f}{'':7} {len(chosen):6} {len(known):6} {np.median(errors):8.2f} "
                f"{relative:7.1%} {np.quantile(abs(errors), 0.95):15.2f}"
            )
    angles = [row.measured_deg - row.drawn_deg for row in rows if math.isfinite(row.measured_deg + row.drawn_deg)]
    laterals = sum(row.order > 1 for row in rows)
    if angles:
        lines.append(
            f"insertion angle: {len(angles)} of {laterals} laterals, bias {np.median(angles):.1f} deg, median |error| "
            f"{np.median(np.abs(angles)):.1f} deg, 90 % {np.quantile(np.abs(angles), 0.9):.1f} deg"
        )
    return "\n".join(lines)


def main() -> None:
    """Draw the plates, measure them with the default models, and print the errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plates", type=int, default=8, help="number of synthetic plates")
    parser.add_argument("--out", type=Path, help="CSV file for the single values")
    arguments = parser.parse_args()
    weights = Path(__file__).parents[1] / "model-server" / "weights"
    models = load_models([newest(weights / name) for name in ("plate-seg", "plate-landmarks")], "openvino")
    rows: list[Row] = []
    for seed in range(FIRST_SEED, FIRST_SEED + arguments.plates):
        plate = draw_plate(seed)
        evaluated = evaluate_plate(plate.encoded, f"{seed}.jpg", models["segmentation"], models["landmarks"])
        if evaluated.phenotype is not None:
            rows += compare(plate, evaluated.phenotype)
    sys.stdout.write(summarise(rows) + "\n")
    if arguments.out:
        with arguments.out.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([Row._fields, *rows])


def newest(folder: Path) -> Path:
    """Return the newest version of a model."""
    return max(folder.iterdir(), key=lambda path: tuple(map(int, path.name.split("."))))


if __name__ == "__main__":
    main()
