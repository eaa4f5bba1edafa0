"""Tests of inference: scale, plate, subpixel landmarks, limits and memory."""

import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.tiny_models import TinyModel
from thale.errors import ImageTooLargeError, ScaleError
from thale.imaging.calibration import region_of_interest
from thale.schemas import Calibration, Plate, Point, Scale
from thale_models.engine import Engine
from thale_models.inference import MAX_LANDMARKS_PER_KIND, find_landmarks, segment

GIVEN_SCALE = Calibration(scale=Scale(mm_per_px=0.25, source="given"))
UNKNOWN_SCALE = Calibration(scale=Scale(mm_per_px=math.nan, source="none"))


def calibration_with_plate(x0: float, y0: float, x1: float, y1: float) -> Calibration:
    corners = (Point(x=x0, y=y0), Point(x=x1, y=y0), Point(x=x1, y=y1), Point(x=x0, y=y1))
    plate = Plate(corners=corners, tilt_deg=0, confidence=1)
    return Calibration(scale=Scale(mm_per_px=0.25, source="plate_edge", plate_width_mm=120), plate=plate)


@dataclass(frozen=True)
class DarknessEngine:
    """Returns `planes` heatmaps of darkness: a dark spot is a landmark of every kind."""

    planes: int
    stride: int = 4
    batch_size: int = 1
    name: str = "dark"

    def __call__(self, batch_N3HW: NDArray[np.float32]) -> NDArray[np.float32]:
        dark = np.clip(-batch_N3HW.mean(axis=1, keepdims=True) / 6, 0, 1)
        return np.repeat(dark, self.planes, axis=1)


def draw_spots(height: int, width: int, *positions: tuple[float, float]) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width]
    image = np.full((height, width), 200.0)
    for x, y in positions:
        image -= 150 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 2.5**2))
    return np.repeat(image[..., None], 3, axis=2).round().astype(np.uint8)


def test_segment_returns_maps_at_training_scale(
    segmenter: TinyModel, segment_engine: Engine, plate_HW3: NDArray[np.uint8]
) -> None:
    calibration = Calibration(scale=Scale(mm_per_px=0.125, source="given"))
    prediction = segment(plate_HW3, segmenter.card, segment_engine, calibration)
    assert prediction.probabilities_CHW.shape == (3, 150, 170)
    assert prediction.probabilities_CHW.dtype == np.uint8
    assert prediction.meta.frame.factor == pytest.approx(0.5)
    assert prediction.meta.model.digest == f"sha256:{segmenter.card.weights_sha256}"
    assert prediction.meta.model.engine.startswith("openvino")
    assert type(prediction).from_bytes(prediction.to_bytes()).meta == prediction.meta.model_copy()


def test_segment_returns_ridges_except_on_the_rim(segmenter: TinyModel, segment_engine: Engine) -> None:
    image = np.full((300, 300, 3), 200, np.uint8)
    image[:, 148:152] = image[2:6, :] = 120
    free = segment(image, segmenter.card, segment_engine, GIVEN_SCALE)
    assert free.ridge_HW is not None
    assert free.ridge_HW[150, 149] < -30
    assert free.ridge_HW[4, 60] < -30
    on_plate = segment(image, segmenter.card, segment_engine, calibration_with_plate(0, 0, 300, 300))
    assert on_plate.ridge_HW is not None
    assert on_plate.ridge_HW.shape == (on_plate.meta.frame.height, on_plate.meta.frame.width)
    assert on_plate.ridge_HW[150, 149] < -30
    assert not on_plate.ridge_HW[:8].any()  # the rim
    assert set(free.meta.seconds) == {"resample", "net", "ridges"}


def test_segment_leaves_out_ridges_on_request(segmenter: TinyModel, segment_engine: Engine) -> None:
    image = np.full((300, 300, 3), 200, np.uint8)
    image[:, 148:152] = 120
    calibration = calibration_with_plate(0, 0, 300, 300)
    complete = segment(image, segmenter.card, segment_engine, calibration)
    short = segment(image, segmenter.card, segment_engine, calibration, include_ridges=False)
    assert short.ridge_HW is None
    np.testing.assert_array_equal(short.probabilities_CHW, complete.probabilities_CHW)
    assert type(short).from_bytes(short.to_bytes()).ridge_HW is None


def test_segment_keeps_the_resolution_when_scale_is_unknown(
    segmenter: TinyModel, segment_engine: Engine, plate_HW3: NDArray[np.uint8]
) -> None:
    prediction = segment(plate_HW3, segmenter.card, segment_engine, UNKNOWN_SCALE)
    assert prediction.probabilities_CHW.shape == (3, 300, 340)


def test_segment_ignores_pixels_outside_the_plate(
    segmenter: TinyModel, segment_engine: Engine, plate_HW3: NDArray[np.uint8]
) -> None:
    calibration = calibration_with_plate(40, 30, 300, 270)
    x0, y0, x1, y1 = region_of_interest(calibration, *plate_HW3.shape[:2])
    other = np.full_like(plate_HW3, 255)
    other[y0:y1, x0:x1] = plate_HW3[y0:y1, x0:x1]
    predictions = [segment(image, segmenter.card, segment_engine, calibration) for image in (plate_HW3, other)]
    assert (predictions[0].meta.frame.x0, predictions[0].meta.frame.y0) == (x0, y0)
    np.testing.assert_array_equal(predictions[0].probabilities_CHW, predictions[1].probabilities_CHW)


@pytest.mark.parametrize("shape", [(32, 32), (33, 1000), (1000, 33), (65, 67)])
def test_segment_returns_every_pixel_of_odd_shapes(
    shape: tuple[int, int], segmenter: TinyModel, segment_engine: Engine
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert segment(image, segmenter.card, segment_engine, GIVEN_SCALE).probabilities_CHW.shape == (3, *shape)


def test_segment_rejects_a_scale_that_exceeds_max_pixels(
    segmenter: TinyModel, segment_engine: Engine, plate_HW3: NDArray[np.uint8]
) -> None:
    implausible = Calibration(scale=Scale(mm_per_px=10, source="given"))
    with pytest.raises(ScaleError, match="check mm_per_px"):
        segment(plate_HW3, segmenter.card, segment_engine, implausible)


def test_segment_rejects_a_huge_image_without_scale(segmenter: TinyModel, segment_engine: Engine) -> None:
    image = np.broadcast_to(np.uint8(128), (6000, 6000, 3))
    with pytest.raises(ImageTooLargeError, match="pass mm_per_px"):
        segment(image, segmenter.card, segment_engine, UNKNOWN_SCALE)


def test_find_landmarks_is_subpixel_accurate_at_any_scale(landmarker: TinyModel) -> None:
    card = landmarker.card.model_copy(update={"classes": ("primary_tip",)})
    positions = [(60.3, 40.6), (150.8, 90.2)]
    for mm_per_px in (0.25, 0.2, 0.35):
        calibration = Calibration(scale=Scale(mm_per_px=mm_per_px, source="given"))
        prediction = find_landmarks(draw_spots(160, 220, *positions), card, DarknessEngine(1), calibration)
        found_xy = sorted((landmark.x, landmark.y) for landmark in prediction.landmarks)
        np.testing.assert_allclose(found_xy, positions, atol=0.15)
        assert {landmark.kind for landmark in prediction.landmarks} == {"primary_tip"}


def test_find_landmarks_returns_only_landmarks_on_the_plate(landmarker: TinyModel) -> None:
    card = landmarker.card.model_copy(update={"classes": ("primary_tip",)})
    image = draw_spots(300, 300, (150, 160), (5, 5))
    prediction = find_landmarks(image, card, DarknessEngine(1), calibration_with_plate(50, 50, 250, 250))
    assert [(round(landmark.x), round(landmark.y)) for landmark in prediction.landmarks] == [(150, 160)]


def test_find_landmarks_sorts_by_kind_and_score(landmarker: TinyModel, landmark_engine: Engine) -> None:
    image = np.random.default_rng(4).integers(0, 256, (200, 200, 3), np.uint8)
    prediction = find_landmarks(image, landmarker.card, landmark_engine, GIVEN_SCALE)
    order = [(landmarker.card.classes.index(landmark.kind), -landmark.score) for landmark in prediction.landmarks]
    assert order == sorted(order)


@pytest.mark.slow
def test_find_landmarks_limits_and_flags_too_many_landmarks(landmarker: TinyModel) -> None:
    noise = np.random.default_rng(4).integers(0, 256, (400, 400), np.uint8)
    image = np.repeat(noise[..., None], 3, axis=2)
    card = landmarker.card.model_copy(update={"mm_per_px": 0.5})
    calibration = Calibration(scale=Scale(mm_per_px=0.5, source="given"))
    prediction = find_landmarks(image, card, DarknessEngine(2), calibration)
    assert len(prediction.landmarks) <= 2 * MAX_LANDMARKS_PER_KIND
    assert [flag.code for flag in prediction.flags] == ["landmarks_left_out"] * 2
    assert find_landmarks(np.full_like(image, 128), card, DarknessEngine(2), calibration).flags == ()


MEMORY_PROGRAM = """
import math, sys
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from thale.schemas import Calibration, ModelCard, Scale
from thale_models.inference import {function}

@dataclass
class Uniform:
    planes: int
    stride: int = 16
    batch_size: int = 1
    name: str = "uniform"
    def __call__(self, batch):
        return np.full((1, self.planes, *batch.shape[2:]), 0.25, np.float32)

def resident(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024

card = ModelCard.model_validate_json(sys.stdin.read())
unknown = Calibration(scale=Scale(mm_per_px=math.nan, source="none"))
for height, width in ((300, 1000), (1000, 1000), (4000, 1000)):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    prediction = {function}(image, card, Uniform(len(card.classes)), unknown)
    print(resident("VmHWM") - before)
    del prediction, image
"""


EAGER_MALLOC_ENV = {
    "MALLOC_MMAP_MAX_": "1000000",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TOP_PAD_": "0",
    "MALLOC_TRIM_THRESHOLD_": "65536",
}
"""Each array has its own mapping and is unmapped when freed, so that resident memory equals used memory."""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc of Linux")
@pytest.mark.parametrize(("function", "planes"), [("segment", 4), ("find_landmarks", 0)])
def test_inference_memory_grows_only_with_the_prediction(
    function: str, planes: int, segmenter: TinyModel, landmarker: TinyModel
) -> None:
    model = segmenter if function == "segment" else landmarker
    card = model.card.model_copy(update={"tile_px": 128})
    command = [sys.executable, "-c", MEMORY_PROGRAM.format(function=function)]
    completed = subprocess.run(
        command,
        input=card.model_dump_json(),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | EAGER_MALLOC_ENV,
    )
    _, small, large = (int(line) for line in completed.stdout.split())
    larger_prediction = planes * (4_000_000 - 1_000_000)
    assert large - small < larger_prediction + 6 * 2**20
