"""Rendering of the golden plates, and golden predictions of a model (`thale.release.registry.golden`)."""

from pathlib import Path

from PIL import Image

from thale.host.files import write_atomically
from thale.imaging.calibration import calibrate
from thale.imaging.image_io import decode
from thale.models.model_card import WEIGHTS
from thale.release.registry.golden import GoldenPlate, GoldenPrediction, GoldenPredictions, golden_plates, summarise
from thale.release.registry.golden.plates import TRUTH_FILE, TRUTHS, GoldenGroundTruth
from thale.release.registry.golden_predictions import GOLDEN_MEMBER as GOLDEN
from thale.schemas import ModelCard
from thale_models.engine import Engine, load_engine
from thale_models.inference import find_landmarks, segment
from thale_models.synthesis import Overrides, draw_crop

_CROP_SIDE_PX = 640
_CAMERA = Overrides(width=2100, height=2100, px_per_mm=16.0, noise=1.2, jpeg_quality=82)
_PLATE_SPECS: dict[str, tuple[int, Overrides]] = {
    "backlit-shoots": (19, Overrides(style="backlit")),
    "backlit-faint": (25, Overrides(style="backlit")),
    "dark-roots": (26, Overrides(style="dark")),
}
"""Name, seed and camera of each plate: shoots, faint roots, bright roots on dark agar. No crop shows a rim."""


def draw_golden_plates(out: Path) -> list[Path]:
    """Render the golden plates to `NAME.jpg`, `NAME-mask.png` and `truth.json`; return the paths of the images.

    Golden predictions of existing archives then belong to former plates: archive the models again.
    """
    out.mkdir(parents=True, exist_ok=True)
    ground_truths, images = [], []
    for name, (seed, style) in _PLATE_SPECS.items():
        overrides: Overrides = {**_CAMERA, **style}
        plate = draw_crop(seed, _CROP_SIDE_PX, **overrides)
        images.append(out / f"{name}.jpg")
        write_atomically(images[-1], plate.encoded)
        Image.fromarray(plate.mask_HW).save(out / f"{name}-mask.png", optimize=True)
        landmarks = tuple(
            landmark.model_copy(update={"x": round(landmark.x, 2), "y": round(landmark.y, 2)})
            for landmark in plate.landmarks
        )
        ground_truths.append(GoldenGroundTruth(name=name, mm_per_px=plate.mm_per_px, landmarks=landmarks))
    write_atomically(out / TRUTH_FILE, TRUTHS.dump_json(tuple(ground_truths), indent=1))
    return images


def write_golden_predictions(run: Path, card: ModelCard) -> GoldenPredictions:
    """Run a model on the golden plates, as the handlers do, and write `golden.json` to its folder.

    Archives include this file. The same folder therefore gives the same archive on every CPU.

    Raises:
        ArchiveError: If the weights do not have the digest of the card.
    """
    engine = load_engine(card, run / WEIGHTS)
    golden_predictions = tuple(predict_plate(plate, card, engine) for plate in golden_plates())
    golden = GoldenPredictions(weights_sha256=card.weights_sha256, answers=golden_predictions)
    write_atomically(run / GOLDEN, golden.model_dump_json(indent=1).encode())
    return golden


def predict_plate(plate: GoldenPlate, card: ModelCard, engine: Engine) -> GoldenPrediction:
    """Return the prediction of a model on one golden plate, summarised."""
    image_HW3 = decode(plate.image)
    calibration = calibrate(image_HW3, plate.mm_per_px)
    predict = segment if card.task == "segmentation" else find_landmarks
    return summarise(plate, predict(image_HW3, card, engine, calibration))
