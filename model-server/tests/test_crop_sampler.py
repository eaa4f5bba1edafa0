"""Tests of crop sampling: crops equal the tiles of serving, and labels are aligned with pixels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.tiny_plates import MM_PER_PX, write_plate_folder
from thale.imaging.geometry import Frame
from thale_models import augment, crop_sampler, inference, tiled_inference, transforms
from thale_models.crop_sampler import PictureView, TrainingBatches, crop_mask, draw_heatmaps, foreground_points
from thale_models.dataset import Dataset, Picture, read_dataset
from thale_models.labels import Keypoint
from thale_models.losses import IGNORE_INDEX
from thale_models.recipes import RECIPES, Recipe

SMOKE = RECIPES["smoke"]


@pytest.fixture(scope="module", name="folder")
def plate_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plates")
    write_plate_folder(folder)
    return folder


def load_dataset(folder: Path, recipe: Recipe) -> Dataset:
    return read_dataset(folder, recipe.task, recipe.classes, required_splits=("train", "val"))


def test_training_and_serving_share_the_transforms() -> None:
    for name in ("training_frame", "resample"):
        assert getattr(crop_sampler, name) is getattr(inference, name) is getattr(transforms, name)
    for name in ("Background", "normalise"):
        assert getattr(crop_sampler, name) is getattr(tiled_inference, name) is getattr(transforms, name)


def test_crop_equals_serving_tile_without_augmentation(folder: Path) -> None:
    dataset = load_dataset(folder, SMOKE)
    picture = dataset.read(dataset.samples[0])
    input_3HW, target = PictureView(picture, MM_PER_PX, SMOKE).crop((40, 50))
    sigma_px = SMOKE.normalisation.background_mm / SMOKE.mm_per_px
    background = transforms.Background.measure(picture.image_HW3, sigma_px)
    window = slice(18, 82), slice(8, 72)
    tile = transforms.normalise(picture.image_HW3[window], background.window(window), SMOKE.normalisation)
    assert np.array_equal(input_3HW, tile)
    assert picture.mask_HW is not None
    assert np.array_equal(target, picture.mask_HW[window])


def test_crop_pads_a_small_picture_without_labels() -> None:
    picture = Picture(np.full((40, 50, 3), 90, np.uint8), mask_HW=np.ones((40, 50), np.uint8))
    input_3HW, target = PictureView(picture, SMOKE.mm_per_px, SMOKE).crop((100, 100))
    assert input_3HW.shape == (3, 64, 64)
    assert (target[:40, :50] == 1).all()
    assert (target[40:] == IGNORE_INDEX).all()
    assert (target[:, 50:] == IGNORE_INDEX).all()
    landmarks = RECIPES["smoke-landmarks"]
    _, heatmaps = PictureView(replace(picture, mask_HW=None), landmarks.mm_per_px, landmarks).crop((0, 0))
    assert np.isnan(heatmaps[:, 40:]).all()
    assert (heatmaps[:, :40, :50] == 0).all()


@pytest.mark.parametrize("factor", [0.4, 0.8, 1.0, 1.7])
def test_crop_mask_is_aligned_with_the_image_at_any_scale(factor: float) -> None:
    mask_HW = np.zeros((200, 300), np.uint8)
    mask_HW[60:140, 100:220] = 2
    picture = Picture(np.repeat(mask_HW[..., None] * np.uint8(100), 3, axis=2), mask_HW)
    view = PictureView(picture, SMOKE.mm_per_px * factor, SMOKE)
    left, top, right, bottom = (int(edge * factor) for edge in (81, 43, 243, 161))
    cropped = crop_mask(mask_HW, view.frame, (left, top, right, bottom), len(SMOKE.classes))
    grey = view.pixels_HW3[top:bottom, left:right, 0]
    assert np.mean((cropped == 2) != (grey > 100)) < 0.002


def test_draw_heatmaps_peaks_at_the_nearest_pixel() -> None:
    frame = Frame.from_box((0, 0, 200, 100), 0.5)
    keypoints = (
        Keypoint("root_base", 100.0, 40.0),
        Keypoint("root_base", 103.0, 40.0),
        Keypoint("primary_tip", 5.0, 5.0),
    )
    heatmaps = draw_heatmaps(keypoints, frame, (30, 10, 70, 40), ("root_base", "primary_tip"), sigma_px=2.0)
    assert heatmaps.shape == (2, 30, 40)
    assert np.argwhere(heatmaps[0] == 1).tolist() == [[10, 20], [10, 21]]
    assert heatmaps[0, 14, 20] == pytest.approx(np.exp(-((4.25**2 + 0.25**2) / 8)), rel=1e-5)
    assert not heatmaps[1].any()


def test_batches_depend_only_on_seed_and_step(folder: Path) -> None:
    dataset = load_dataset(folder, SMOKE)
    one, other = TrainingBatches(dataset, SMOKE, seed=1), TrainingBatches(dataset, SMOKE, seed=1)
    for step in (0, 1, 2):
        one[step]
    late = one[3]
    assert torch.equal(late.images_N3HW, other[3].images_N3HW)
    assert torch.equal(late.targets, other[3].targets)
    assert not torch.equal(late.images_N3HW, TrainingBatches(dataset, SMOKE, seed=2)[3].images_N3HW)
    assert late.images_N3HW.shape == (SMOKE.batch_size, 3, SMOKE.crop_px, SMOKE.crop_px)
    assert late.images_N3HW.dtype == torch.float32


def test_landmarks_stay_on_their_pixels_after_jitter_and_crop() -> None:
    recipe = replace(
        RECIPES["smoke-landmarks"],
        classes=("primary_tip",),
        uniform_crop_fraction=0.0,
        normalisation=SMOKE.normalisation,
    )
    rng = np.random.default_rng(0)
    image_HW3 = np.full((300, 300, 3), 90, np.uint8)
    keypoints = []
    for x, y in rng.integers(20, 280, (40, 2)):
        image_HW3[y - 1 : y + 2, x - 1 : x + 2] = 200
        keypoints.append(Keypoint("primary_tip", float(x), float(y)))
    for visit in range(10):
        rng = np.random.default_rng(visit)
        picture = Picture(image_HW3, keypoints=tuple(keypoints))
        region = crop_sampler.extract_crop(
            picture, crop_sampler.sample_box(picture, foreground_points(picture, recipe.classes), 150.0, rng)
        )
        view = PictureView(region, recipe.mm_per_px * rng.uniform(0.8, 1.25), recipe)
        input_3HW, target = view.crop(crop_sampler.sample_centre(view, foreground_points(region, recipe.classes), rng))
        bright = input_3HW[0] > 0.5 * input_3HW[0].max()
        rows, columns = np.nonzero(target[0] == 1.0)
        assert len(rows)
        assert bright[rows, columns].all()


def test_augmentation_keeps_shape_type_and_range() -> None:
    rng = np.random.default_rng(3)
    picture = rng.integers(0, 256, (50, 60, 3), np.uint8)
    for _ in range(30):
        jittered = augment.jitter_lighting(picture, rng)
        assert jittered.shape == picture.shape
        assert jittered.dtype == np.uint8
        rough = augment.add_blur_and_noise(rng.normal(0, 3, (3, 20, 20)).astype(np.float32), 6.0, rng)
        assert rough.dtype == np.float32
        assert np.abs(rough).max() <= 6.0


def test_degrade_at_full_size_keeps_the_size_of_a_smaller_copy() -> None:
    picture = np.random.default_rng(1).integers(60, 200, (150, 170, 3), np.uint8)
    changed = 0
    for seed in range(20):
        degraded = augment.degrade_at_full_size(picture, np.random.default_rng(seed))
        assert degraded.shape == picture.shape
        assert degraded.dtype == np.uint8
        changed += int((degraded != picture).any())
    assert changed >= 15


def test_batches_degrade_pictures_by_the_recipe(folder: Path) -> None:
    dataset = load_dataset(folder, SMOKE)
    degraded = TrainingBatches(dataset, replace(SMOKE, degraded_fraction=1.0), seed=1)[3]
    intact = TrainingBatches(dataset, SMOKE, seed=1)[3]
    assert degraded.images_N3HW.shape == intact.images_N3HW.shape
    assert not torch.equal(degraded.images_N3HW, intact.images_N3HW)
    assert RECIPES["plate-seg-degraded"].degraded_fraction > 0
    assert RECIPES["plate-landmarks-degraded"].degraded_fraction > 0
