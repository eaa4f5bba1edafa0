"""Tests of tiled inference: equality with the whole image, seams, planes."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.tiny_models import TinyModel
from thale.schemas import ModelCard
from thale_models.engine import Engine
from thale_models.tiled_inference import predict_in_bands
from thale_models.transforms import Background, normalise


@dataclass
class PixelEngine:
    """Predicts each pixel from its own value, so that the result must not depend on the tiles."""

    stride: int = 4
    batch_size: int = 1
    name: str = "pixel"
    calls: int = 0
    sizes: list[int] = field(default_factory=list)

    def __call__(self, batch_N3HW: NDArray[np.float32]) -> NDArray[np.float32]:
        assert batch_N3HW.dtype == np.float32
        assert not any(side % self.stride for side in batch_N3HW.shape[2:])
        assert len(batch_N3HW) <= self.batch_size
        self.calls += 1
        self.sizes.append(len(batch_N3HW))
        red = 1 / (1 + np.exp(-batch_N3HW[:, :1]))
        return np.concatenate([1 - red, red], axis=1)


def two_classes(card: ModelCard) -> ModelCard:
    return card.model_copy(update={"classes": ("background", "root")})


def random_image(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (height, width, 3), np.uint8)


def predict(
    pixels_HW3: NDArray[np.uint8], card: ModelCard, engine: object, first_plane: int = 0
) -> NDArray[np.float32]:
    bands = list(predict_in_bands(pixels_HW3, card, engine, first_plane))
    assert [band.top for band in bands] == [0, *(band.rows.stop for band in bands[:-1])]
    return np.concatenate([band.planes_CHW for band in bands], axis=1)


@pytest.mark.parametrize(
    ("height", "width"), [(64, 64), (300, 341), (65, 64), (64, 65), (67, 500), (1, 1), (3, 200), (200, 3), (63, 1000)]
)
def test_predict_in_bands_equals_whole_image_prediction(height: int, width: int, segmenter: TinyModel) -> None:
    card, pixels = two_classes(segmenter.card), random_image(height, width)
    background = Background.measure(pixels, card.normalisation.background_mm / card.mm_per_px)
    whole = normalise(pixels, background.window((slice(0, height), slice(0, width))), card.normalisation)
    blended = predict(pixels, card, PixelEngine())
    assert blended.shape == (2, height, width)
    np.testing.assert_allclose(blended[1], 1 / (1 + np.exp(-whole[0])), atol=1e-5)
    np.testing.assert_allclose(blended.sum(axis=0), 1, atol=1e-5)


def test_predict_in_bands_omits_planes_before_the_first(segmenter: TinyModel) -> None:
    card, engine, pixels = two_classes(segmenter.card), PixelEngine(), random_image(100, 90)
    np.testing.assert_array_equal(predict(pixels, card, engine, first_plane=1), predict(pixels, card, engine)[1:])


@pytest.mark.parametrize("batch_size", [2, 3, 64])
def test_predict_in_bands_is_equal_for_each_batch_size(batch_size: int, segmenter: TinyModel) -> None:
    card, pixels = two_classes(segmenter.card), random_image(150, 340)
    single, batched = PixelEngine(), PixelEngine(batch_size=batch_size)
    np.testing.assert_array_equal(predict(pixels, card, batched), predict(pixels, card, single))
    assert sum(batched.sizes) == single.calls
    tiles_per_row = 7
    assert batched.sizes[0] == min(batch_size, tiles_per_row)


def test_predict_in_bands_uses_one_tile_for_a_small_image(segmenter: TinyModel) -> None:
    engine = PixelEngine()
    predict(random_image(64, 50), two_classes(segmenter.card), engine)
    assert engine.calls == 1


def test_predict_in_bands_hardly_depends_on_the_tile_size(
    segmenter: TinyModel, segment_engine: Engine, plate_HW3: NDArray[np.uint8]
) -> None:
    cards = [segmenter.card.model_copy(update={"tile_px": tile, "overlap_px": 32}) for tile in (96, 108, 128, 400)]
    predictions = [predict(plate_HW3, card, segment_engine) for card in cards]
    for prediction in predictions[:-1]:
        assert np.abs(prediction - predictions[-1]).max() < 0.02
        assert np.abs(prediction - predictions[-1]).mean() < 0.001


def test_predict_in_bands_has_no_seams(
    segmenter: TinyModel, segment_engine: Engine, plate_HW3: NDArray[np.uint8]
) -> None:
    whole, tiled = (
        predict(plate_HW3, segmenter.card.model_copy(update={"tile_px": tile}), segment_engine) for tile in (400, 64)
    )
    error = tiled - whole
    steps = np.abs(np.diff(error, axis=2)).max(axis=(0, 1))
    assert steps.max() < 0.05
