"""Measure altered copies of photographs, and compare the traits and their quality with those of the originals.

A copy that was darkened, compressed or scaled shows the same plants. A trait of a copy is therefore wrong if it
differs by more than 5 % from the original's. A wrong trait with the quality `ok` would be published: this is the column
that must be low. The originals are no ground truth, so the benchmark measures robustness and not accuracy.

    python benchmarks/altered_photographs.py FOLDER [--only jpeg-30] [--out table.csv]
"""

import argparse
import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from thale.local.runtime import find_runtime
from thale.schemas import Phenotype, Plant, Task, TraitValue
from thale_models.evaluation.plate_scores import LoadedModel, evaluate_plate
from thale_models.evaluation.run import load_models

MAX_ERROR = 0.05
PLATE_WIDTH_MM = 120.0
MATCH_RADIUS = 0.05
"""Maximum distance between the root bases of a plant in both images, as a share of the image's width."""
TRAITS = ("primary_root_length", "total_root_length", "lateral_root_count", "lateral_root_length")

Alteration = Callable[[Image.Image], bytes]


def encode(image: Image.Image, quality: int = 95) -> bytes:
    """Return an image as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def change_pixels(function: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Alteration:
    """Return an alteration that maps the grey levels of each pixel."""

    def alter(image: Image.Image) -> bytes:
        changed = np.clip(function(np.asarray(image, float)), 0, 255).astype(np.uint8)
        return encode(Image.fromarray(changed))

    return alter


def add_noise(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add Gaussian noise with a standard deviation of 8 grey levels."""
    return pixels + np.random.default_rng(1).normal(0, 8, pixels.shape)


def resize(image: Image.Image, width: int, quality: int) -> bytes:
    """Return a smaller copy with this width."""
    return encode(image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS), quality)


ALTERATIONS: Mapping[str, Alteration] = {
    "grey levels": lambda image: encode(image.convert("L").convert("RGB")),
    "contrast x1.5": change_pixels(lambda pixels: (pixels - pixels.mean()) * 1.5 + pixels.mean()),
    "contrast x2.5": change_pixels(lambda pixels: (pixels - pixels.mean()) * 2.5 + pixels.mean()),
    "contrast x0.6": change_pixels(lambda pixels: (pixels - pixels.mean()) * 0.6 + pixels.mean()),
    "gamma 2": change_pixels(lambda pixels: 255 * (pixels / 255) ** 2),
    "noise": change_pixels(add_noise),
    "inverted": lambda image: encode(ImageOps.invert(image.convert("L")).convert("RGB")),
    "half size": lambda image: resize(image, image.width // 2, 95),
    "1600 px, quality 75": lambda image: resize(image, 1600, 75),
    "1430 px, quality 75": lambda image: resize(image, 1430, 75),
    **{
        f"JPEG {quality}": lambda image, quality=quality: encode(image, quality) for quality in (75, 60, 50, 40, 30, 20)
    },  # type: ignore[misc]
    "upside down": lambda image: encode(image.rotate(180)),
    "turned left": lambda image: encode(image.rotate(90, expand=True)),
}


@dataclass(frozen=True)
class TraitComparison:
    """One trait of one plant in a copy, against the original."""

    photograph: str
    alteration: str
    plant: int
    trait: str
    original: float
    copy: float
    quality: str
    flags: str
    low: float
    high: float

    @property
    def is_wrong(self) -> bool:
        """True if the values differ by more than 5 %, or by more than half a lateral root."""
        tolerance = max(MAX_ERROR * abs(self.original), 0.5 if self.trait == "lateral_root_count" else 0.0)
        return not abs(self.copy - self.original) <= tolerance

    @property
    def is_covered(self) -> bool | None:
        """True if the interval of the copy contains the original's value. None without an interval."""
        return self.low <= self.original <= self.high if np.isfinite(self.low) else None


def compare(photograph: str, alteration: str, original: Phenotype, copy: Phenotype) -> Iterator[TraitComparison]:
    """Yield the traits of the plants that both images have. A turned copy is not matched by position, but by order."""
    is_turned = alteration in ("upside down", "turned left")
    for index, plant in enumerate(original.plants):
        found = match_by_order(index, copy.plants) if is_turned else match(plant, original, copy)
        for name in TRAITS:
            before = trait(plant, name)
            if before is None or before.quality == "unknown":
                continue
            after = None if found is None else trait(found, name)
            yield TraitComparison(
                photograph,
                alteration,
                plant.id,
                name,
                before.value,
                np.nan if after is None else after.value,
                "missing" if after is None else after.quality,
                " ".join(dict.fromkeys(flag.code for flag in after.flags)) if after is not None else "",
                *(after.interval if after is not None and after.interval is not None else (np.nan, np.nan)),
            )


def match_by_order(index: int, plants: Sequence[Plant]) -> Plant | None:
    """Return the plant with this index from the right."""
    return plants[-1 - index] if index < len(plants) else None


def match(plant: Plant, original: Phenotype, copy: Phenotype) -> Plant | None:
    """Return the plant of the copy whose root begins at the same place."""
    start = base(plant)
    candidates = [(other, base(other)) for other in copy.plants]
    factor = original.image.width / copy.image.width
    near = [
        (float(np.hypot(*(np.array(position) * factor - start))), other)
        for other, position in candidates
        if start is not None and position is not None
    ]
    if not near:
        return None
    distance, found = min(near, key=lambda pair: pair[0])
    return found if distance <= MATCH_RADIUS * original.image.width else None


def base(plant: Plant) -> tuple[float, float] | None:
    """Return the first point of the primary root."""
    return next((root.points[0] for root in plant.roots if root.order == 1), None)


def trait(plant: Plant, name: str) -> TraitValue | None:
    """Return a trait by name."""
    return next((each for each in plant.traits if each.trait == name), None)


def measure(image: bytes, name: str, models: Mapping[Task, LoadedModel]) -> Phenotype:
    """Return the phenotype of an image by the default models."""
    phenotype = evaluate_plate(image, name, models["segmentation"], models["landmarks"]).phenotype
    assert phenotype is not None  # noqa: S101 (both models are given)
    return phenotype


def summarise(rows: Sequence[TraitComparison]) -> str:
    """Return one line for each alteration and trait."""
    lines = [f"{'copy':22} {'trait':22} {'n':>4} {'wrong':>6} {'wrong, ok':>10} {'right, ok':>10} {'coverage':>9}"]
    for alteration in dict.fromkeys(row.alteration for row in rows):
        for name in TRAITS:
            chosen = [row for row in rows if (row.alteration, row.trait) == (alteration, name)]
            lines.append(f"{alteration:22} {name:22} {summarise_rows(chosen)}")
    lines += [f"{'all':22} {name:22} {summarise_rows([row for row in rows if row.trait == name])}" for name in TRAITS]
    return "\n".join([*lines, f"{'all':22} {'all':22} {summarise_rows(rows)}"])


def summarise_rows(rows: Sequence[TraitComparison]) -> str:
    """Return the counts of some values, and the share of the 90 % intervals that contain the original's value."""
    wrong, right = [row for row in rows if row.is_wrong], [row for row in rows if not row.is_wrong]
    covered = [row.is_covered for row in rows if row.is_covered is not None]
    coverage = f"{np.mean(covered):.0%}" if covered else "-"
    return (
        f"{len(rows):4} {len(wrong):6} {sum(row.quality == 'ok' for row in wrong):10} "
        f"{sum(row.quality == 'ok' for row in right):10} {coverage:>9}"
    )


def main() -> None:
    """Measure all copies, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="folder with photographs of plates (*.jpg)")
    parser.add_argument("--only", action="append", help="name of an alteration; once for each")
    parser.add_argument("--out", type=Path, help="CSV file for the single values")
    arguments = parser.parse_args()
    weights = find_runtime().weights
    models = load_models([weights / "plate-seg" / "1.0.0", weights / "plate-landmarks" / "1.0.0"], "openvino")
    rows: list[TraitComparison] = []
    for path in sorted(arguments.photographs.glob("*.jpg")):
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
        original = measure(encode(image), path.name, models)
        for name in arguments.only or ALTERATIONS:
            copy = measure(ALTERATIONS[name](image), path.name, models)
            rows += compare(path.stem, name, original, copy)
    print(summarise(rows))  # noqa: T201
    if arguments.out is not None:
        with arguments.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(TraitComparison.__dataclass_fields__)
            writer.writerows([getattr(row, column) for column in TraitComparison.__dataclass_fields__] for row in rows)


if __name__ == "__main__":
    main()
