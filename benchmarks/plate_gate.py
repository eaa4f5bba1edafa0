"""Evaluate the gate: no picture without a plate may have a trait that is `ok`, and no plate may be refused.

The pictures are drawn negatives (`drawn_negatives.py`), synthetic plates, degraded copies of them, and folders of
photographs. Each row of the table is one kind of picture. A plate is refused if a flag says that the image shows none.
The limits of the gate are between the drawn negatives and the synthetic plates; folders are for evaluation only.

    python benchmarks/plate_gate.py [--seeds 3] [--plates-in FOLDER] [--others-in FOLDER] [--without-models]
"""

import argparse
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from altered_photographs import ALTERATIONS
from drawn_negatives import NEGATIVES, draw_negative
from numpy.typing import NDArray
from PIL import Image

from thale.errors import ThaleError
from thale.imaging.calibration import calibrate
from thale.imaging.image_io import decode
from thale.local.runtime import find_runtime
from thale_models.evaluation.plate_scores import LoadedModel, evaluate_plate
from thale_models.evaluation.run import load_models
from thale_models.synthesis import draw_plate
from thale_models.synthesis.degradation import degrade, sample_degradation

REFUSALS = frozenset({"no_plate", "round_plate", "not_a_plate", "not_a_photograph"})
"""Flags that say that the image shows no square plate."""

_FORMATS = (".jpg", ".jpeg", ".png", ".tif", ".tiff")


@dataclass(frozen=True)
class GatePicture:
    """One picture of the evaluation."""

    kind: str
    name: str
    is_plate: bool
    data: bytes = b""
    """The file; empty if the picture is not encoded yet."""
    pixels_HW3: NDArray[np.uint8] | None = None

    def decode(self) -> NDArray[np.uint8]:
        """Return the pixels."""
        return decode(self.data) if self.pixels_HW3 is None else self.pixels_HW3

    def encode(self) -> bytes:
        """Return the file."""
        return self.data or to_png(self.decode())


@dataclass(frozen=True)
class GateOutcome:
    """Flags of one picture, and the number of its values of quality `ok`."""

    picture: GatePicture
    codes: tuple[str, ...]
    ok_values: int

    @property
    def is_refused(self) -> bool:
        """True if a flag says that the image shows no square plate."""
        return bool(REFUSALS & set(self.codes))


def to_png(pixels_HW3: NDArray[np.uint8]) -> bytes:
    """Return an image as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels_HW3).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def negatives(seeds: int) -> Iterator[GatePicture]:
    """Yield every drawn negative with several seeds."""
    for name in NEGATIVES:
        for seed in range(seeds):
            yield GatePicture(f"drawn: {name}", f"{name} {seed}", False, pixels_HW3=draw_negative(name, seed))


def synthetic_plates(count: int, first_seed: int) -> Iterator[GatePicture]:
    """Yield synthetic plates, and one degraded copy of each."""
    for seed in range(first_seed, first_seed + count):
        plate = draw_plate(seed)
        yield GatePicture(f"synthetic: {plate.spec.style}", f"plate {seed}", True, plate.encoded)
        rng = np.random.default_rng(seed)
        degradation = sample_degradation(rng)
        copy_HW3, _ = degrade(plate.image_HW3, degradation, rng)
        yield GatePicture(
            f"synthetic: {plate.spec.style}, degraded", f"plate {seed} {degradation}", True, pixels_HW3=copy_HW3
        )


def photographs(folder: Path, is_plate: bool) -> Iterator[GatePicture]:
    """Yield the images of a folder and its subfolders, except for masks."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _FORMATS and "mask" not in path.name:
            yield GatePicture(f"folder: {path.parent.name}", path.name, is_plate, path.read_bytes())


def altered_photographs(folder: Path) -> Iterator[GatePicture]:
    """Yield the altered copies of photographs of plates."""
    for path in sorted(folder.glob("*.jpg")):
        with Image.open(path) as image:
            for name, alteration in ALTERATIONS.items():
                yield GatePicture(f"altered: {name}", f"{path.name} {name}", True, alteration(image.convert("RGB")))


def evaluate(picture: GatePicture, models: dict[str, LoadedModel] | None) -> GateOutcome:
    """Return the outcome of a picture. The models run only if the gate accepts a picture that shows no plate.

    Every flag of a refusal makes all traits uncertain, so a refused picture has no value that is `ok`.
    """
    try:
        outcome = GateOutcome(picture, tuple(flag.code for flag in calibrate(picture.decode()).flags), 0)
        if models is None or picture.is_plate or outcome.is_refused:
            return outcome
        evaluated = evaluate_plate(picture.encode(), picture.name, models["segmentation"], models["landmarks"])
    except ThaleError as error:
        return GateOutcome(picture, (f"error {error.code}",), 0)
    phenotype = evaluated.phenotype
    assert phenotype is not None  # noqa: S101 (both models are given)
    values = [trait for plant in phenotype.plants for trait in plant.traits] + list(phenotype.traits)
    ok_values = sum(value.quality == "ok" for value in values)
    return GateOutcome(picture, tuple(dict.fromkeys(flag.code for flag in phenotype.flags)), ok_values)


def summarise(outcomes: list[GateOutcome]) -> str:
    """Return one line for each kind of picture: number, refused, with an `ok` value, and the flags."""
    lines = [f"{'pictures':44} {'n':>4} {'refused':>8} {'with ok':>8}  flags"]
    for kind in dict.fromkeys(outcome.picture.kind for outcome in outcomes):
        chosen = [outcome for outcome in outcomes if outcome.picture.kind == kind]
        counts = Counter(code for outcome in chosen for code in outcome.codes)
        flags = ", ".join(f"{code} {count}" for code, count in counts.most_common())
        refused, with_ok = sum(o.is_refused for o in chosen), sum(o.ok_values > 0 for o in chosen)
        lines.append(f"{kind:44} {len(chosen):4} {refused:8} {with_ok:8}  {flags}")
    plates = [outcome for outcome in outcomes if outcome.picture.is_plate]
    others = [outcome for outcome in outcomes if not outcome.picture.is_plate]
    lines += [
        f"plates: {len(plates)}, refused: {sum(outcome.is_refused for outcome in plates)}",
        f"other pictures: {len(others)}, with an ok value: {sum(outcome.ok_values > 0 for outcome in others)}, "
        f"not refused: {sum(not outcome.is_refused for outcome in others)}",
    ]
    return "\n".join(lines)


def main() -> None:
    """Evaluate all pictures, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each drawn negative")
    parser.add_argument("--plates", type=int, default=60, help="synthetic plates")
    parser.add_argument("--first-seed", type=int, default=9000, help="seed of the first synthetic plate")
    parser.add_argument("--plates-in", type=Path, action="append", default=[], help="folder of photographs of plates")
    parser.add_argument("--others-in", type=Path, action="append", default=[], help="folder of other photographs")
    parser.add_argument("--without-models", action="store_true", help="never run the models")
    arguments = parser.parse_args()
    models: dict[str, LoadedModel] | None = None
    if not arguments.without_models:
        weights = find_runtime().weights
        models = dict(load_models([weights / "plate-seg" / "1.0.0", weights / "plate-landmarks" / "1.0.0"], "openvino"))
    outcomes: list[GateOutcome] = []

    def add(pictures: Iterator[GatePicture]) -> None:
        for picture in pictures:
            outcome = evaluate(picture, models)
            outcomes.append(outcome)
            is_wrong = outcome.is_refused if picture.is_plate else (outcome.ok_values > 0 or not outcome.is_refused)
            line = f"{'!' if is_wrong else ' '} {picture.kind}: {picture.name}: {outcome.ok_values} ok, {outcome.codes}"
            print(line, flush=True)  # noqa: T201

    add(negatives(arguments.seeds))
    for folder in arguments.others_in:
        add(photographs(folder, False))
    for folder in arguments.plates_in:
        add(photographs(folder, True))
    add(synthetic_plates(arguments.plates, arguments.first_seed))
    for folder in arguments.plates_in:
        add(altered_photographs(folder))
    print(summarise(outcomes))  # noqa: T201


if __name__ == "__main__":
    main()
