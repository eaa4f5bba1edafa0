"""Check of an inference engine on the hardware at hand: accuracy, reproducibility and speed.

    thale-models check-engine --device cuda

The reference is the torch engine on the CPU in float32. The tests run the same check on a CPU in half precision,
because they have no GPU (docs/gpu.md).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thale.errors import DeviceError
from thale.imaging.calibration import calibrate
from thale.imaging.image_io import decode
from thale.models.model_card import CARD, WEIGHTS, parse_model_card
from thale.release.registry.golden import golden_plates
from thale.release.registry.golden.acceptance import check_acceptance
from thale.schemas import ModelCard
from thale_models.archive import read_golden_predictions
from thale_models.engine import Engine, load_engine
from thale_models.golden import predict_plate
from thale_models.inference import find_landmarks, segment
from thale_models.synthesis import draw_plate
from thale_models.torch_options import TorchOptions

_TIMED_PLATE_SEED = 2028
_TIMED_PLATE_WIDTH, _TIMED_PLATE_HEIGHT = 1800, 1700


@dataclass(frozen=True)
class EngineReport:
    """Result of the check of one model."""

    model: str
    engine: str
    max_difference: float
    """Largest difference of a probability from the reference, over all golden plates."""
    scores: dict[str, float]
    """Scores on the golden plates, within the criteria of a registration."""
    plate_s: float
    """Mean seconds of one plate of 3 megapixels in a worker, from its bytes to the prediction."""
    net_s: float
    """The part of it in the network. The remaining part runs on the CPU with every engine."""


def check_engine(folders: Sequence[Path], options: TorchOptions, plates: int) -> list[EngineReport]:
    """Check the torch engine with the given options on each model.

    Args:
        folders: Folders of models, with weights and card.
        options: Device and arithmetic of the engine.
        plates: Number of plates whose time is measured.

    Raises:
        DeviceError: If the device is missing, or the engine returns different bits for the same image.
        RegistrationError: If the predictions do not meet the criteria of a registration.
    """
    return [_check_model(folder, options, plates) for folder in folders]


def _check_model(folder: Path, options: TorchOptions, plates: int) -> EngineReport:
    card = parse_model_card((folder / CARD).read_bytes())
    engine = load_engine(card, folder / WEIGHTS, "torch", torch_options=options)
    compared = _ObservedEngine(engine, load_engine(card, folder / WEIGHTS, "torch"))
    predictions = [predict_plate(plate, card, compared) for plate in golden_plates()]
    if not compared.is_reproducible:
        raise DeviceError(
            f"{engine.name} returns different bits for the same tiles: report this with the version of its driver"
        )
    scores = check_acceptance(card, predictions, read_golden_predictions(folder, card))
    plate_s, net_s = _measure_seconds(card, engine, plates)
    return EngineReport(f"{card.name} {card.version}", engine.name, compared.max_difference, scores, plate_s, net_s)


@dataclass
class _ObservedEngine:
    """An engine whose calls are timed, and compared with a second call and with a reference if there is one."""

    engine: Engine
    reference: Engine | None = None
    seconds: float = field(default=0.0, init=False)
    max_difference: float = field(default=0.0, init=False)
    is_reproducible: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        self.name, self.stride, self.batch_size = self.engine.name, self.engine.stride, self.engine.batch_size

    def __call__(self, batch_N3HW: NDArray[np.float32]) -> NDArray[np.float32]:
        started = time.perf_counter()
        probabilities = self.engine(batch_N3HW)
        self.seconds += time.perf_counter() - started
        if self.reference is not None:
            self.is_reproducible &= np.array_equal(probabilities, self.engine(batch_N3HW))
            difference = float(np.abs(probabilities - self.reference(batch_N3HW)).max())
            self.max_difference = max(self.max_difference, difference)
        return probabilities


def _measure_seconds(card: ModelCard, engine: Engine, plates: int) -> tuple[float, float]:
    """Return the mean seconds of a plate, and of its network part."""
    encoded = draw_plate(_TIMED_PLATE_SEED, plants=5, width=_TIMED_PLATE_WIDTH, height=_TIMED_PLATE_HEIGHT).encoded
    timed = _ObservedEngine(engine)
    started = time.perf_counter()
    for _ in range(plates):
        image_HW3 = decode(encoded)
        calibration = calibrate(image_HW3)
        if card.task == "segmentation":
            segment(image_HW3, card, timed, calibration).to_bytes()
        else:
            find_landmarks(image_HW3, card, timed, calibration)
    return (time.perf_counter() - started) / plates, timed.seconds / plates
