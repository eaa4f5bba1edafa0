"""Sampling of training batches: crops of labelled pictures.

A batch is a pure function of the seed and the step. A run that resumes at step 4000 gets the same crops as an
uninterrupted run. A picture is decoded and resampled once per visit, by the same functions as in serving, and yields
several crops.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from thale.imaging.geometry import Frame
from thale_models import augment
from thale_models.dataset import Dataset, Picture, TrainingSample
from thale_models.labels import Keypoint
from thale_models.losses import IGNORE_INDEX
from thale_models.recipes import Recipe
from thale_models.transforms import Background, normalise, resample, training_frame

_MAX_POINTS_PER_CLASS = 512
_CACHE_BYTES = 1_000_000_000
_RESAMPLING_MARGIN_PX = 16
"""Margin of mask pixels around a crop that its resampling may read."""
_FOREGROUND_BOX_PROBABILITY = 0.85
_REGION_SIDE_CROPS = 3
"""Side of the region of a visit, in crops. Only this region is resampled."""


@dataclass(frozen=True)
class Batch:
    """Crops of one step: images N3HW float32; targets NHW int64 (masks) or NCHW float32 (heatmaps)."""

    images_N3HW: Tensor
    targets: Tensor


class PictureView:
    """One picture at training scale with its background, the source of crops."""

    def __init__(self, picture: Picture, mm_per_px: float, recipe: Recipe) -> None:
        height, width = picture.image_HW3.shape[:2]
        self.recipe = recipe
        self.picture = picture
        self.frame = training_frame((0, 0, width, height), mm_per_px, recipe.mm_per_px)
        self.pixels_HW3 = resample(picture.image_HW3, self.frame)
        self.background = Background.measure(self.pixels_HW3, recipe.normalisation.background_mm / recipe.mm_per_px)

    def crop(self, centre_xy: tuple[float, float]) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
        """Return the network's input (3HW) and its target around a point of the frame, shifted into the picture.

        A picture smaller than the crop is padded at the right and bottom. The image then repeats its edge, as in
        serving, and the target has no labels there.
        """
        size = self.recipe.crop_px
        left, top = (
            int(np.clip(round(centre - size / 2), 0, max(0, length - size)))
            for centre, length in zip(centre_xy, (self.frame.width, self.frame.height), strict=True)
        )
        bottom, right = min(top + size, self.frame.height), min(left + size, self.frame.width)
        window = slice(top, bottom), slice(left, right)
        input_3HW = normalise(self.pixels_HW3[window], self.background.window(window), self.recipe.normalisation)
        padding = ((0, size - (bottom - top)), (0, size - (right - left)))
        target = self._crop_target(left, top, right, bottom)
        padding_value = IGNORE_INDEX if self.recipe.task == "segmentation" else np.nan
        leading = ((0, 0),) * (target.ndim - 2)
        return np.pad(input_3HW, ((0, 0), *padding), mode="edge"), np.pad(
            target, (*leading, *padding), constant_values=padding_value
        )

    def _crop_target(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.generic]:
        if self.picture.mask_HW is not None:
            return crop_mask(self.picture.mask_HW, self.frame, (left, top, right, bottom), len(self.recipe.classes))
        sigma_px = self.recipe.sigma_mm / self.recipe.mm_per_px
        return draw_heatmaps(
            self.picture.keypoints, self.frame, (left, top, right, bottom), self.recipe.classes, sigma_px
        )


def crop_mask(
    mask_HW: NDArray[np.uint8], frame: Frame, box_xyxy: tuple[int, int, int, int], classes: int
) -> NDArray[np.uint8]:
    """Return a box of a frame as class indices: the class with the largest area in each pixel."""
    corners = frame.to_source(np.array(box_xyxy, float).reshape(2, 2) - 0.5) + 0.5
    (x0, y0), (x1, y1) = np.clip(corners, 0, mask_HW.shape[::-1])
    left, top = max(0, int(x0) - _RESAMPLING_MARGIN_PX), max(0, int(y0) - _RESAMPLING_MARGIN_PX)
    region_hw = mask_HW[top : int(y1) + _RESAMPLING_MARGIN_PX, left : int(x1) + _RESAMPLING_MARGIN_PX]
    size = box_xyxy[2] - box_xyxy[0], box_xyxy[3] - box_xyxy[1]
    shares_CHW = np.zeros((classes, size[1], size[0]), np.int16)
    for index in range(1, classes):
        plane = region_hw == index
        if plane.any():
            picture = Image.fromarray(plane.view(np.uint8) * np.uint8(255))
            box = x0 - left, y0 - top, x1 - left, y1 - top
            shares_CHW[index] = np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=box))
    shares_CHW[0] = 255 - shares_CHW.sum(0)
    return cast(NDArray[np.uint8], shares_CHW.argmax(0).astype(np.uint8))


def draw_heatmaps(
    keypoints: tuple[Keypoint, ...],
    frame: Frame,
    box_xyxy: tuple[int, int, int, int],
    kinds: tuple[str, ...],
    sigma_px: float,
) -> NDArray[np.float32]:
    """Return one plane for each kind: a Gaussian around each landmark, with the value 1 at the nearest pixel."""
    left, top, right, bottom = box_xyxy
    heatmaps_CHW = np.zeros((len(kinds), bottom - top, right - left), np.float32)
    reach = math.ceil(4 * sigma_px)
    for keypoint in keypoints:
        x, y = frame.from_source(np.array([[keypoint.x, keypoint.y]]))[0] - (left, top)
        rows = np.arange(max(0, round(y) - reach), min(bottom - top, round(y) + reach + 1))
        columns = np.arange(max(0, round(x) - reach), min(right - left, round(x) + reach + 1))
        if len(rows) and len(columns):
            bell = np.exp(-((rows[:, None] - y) ** 2 + (columns - x) ** 2) / (2 * sigma_px**2))
            bell[(rows[:, None] == round(y)) & (columns == round(x))] = 1.0
            patch = heatmaps_CHW[kinds.index(keypoint.kind), rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            np.maximum(patch, bell, out=patch)
    return heatmaps_CHW


class TrainingBatches(torch.utils.data.Dataset[Batch]):
    """Augmented batches by step, for a DataLoader without shuffling."""

    def __init__(self, dataset: Dataset, recipe: Recipe, seed: int) -> None:
        self.pictures = PictureCache(dataset)
        self.samples = dataset.split("train")
        self.recipe = recipe
        self.seed = seed

    def __getitem__(self, step: int) -> Batch:
        """Return the batch of one step."""
        visits = self.recipe.batch_size // self.recipe.crops_per_picture
        crops = [crop for visit in range(visits) for crop in self._crops_of_visit(step * visits + visit)]
        return collate(crops)

    def _crops_of_visit(self, visit: int) -> list[tuple[NDArray[np.float32], NDArray[np.generic]]]:
        epoch, index = divmod(visit, len(self.samples))
        order = np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.samples))
        rng = np.random.default_rng([self.seed, 1, visit])
        sample = self.samples[order[index]]
        picture, points_by_class = self.pictures.get(sample)
        mm_per_px = _jitter_scale(sample.mm_per_px, self.recipe, rng)
        side_px = _REGION_SIDE_CROPS * self.recipe.crop_px * self.recipe.mm_per_px / mm_per_px
        region = extract_crop(picture, sample_box(picture, points_by_class, side_px, rng))
        jittered = replace(region, image_HW3=self._augment_picture(region.image_HW3, rng))
        view, points_by_class = (
            PictureView(jittered, mm_per_px, self.recipe),
            foreground_points(region, self.recipe.classes),
        )
        return [self._sample_augmented_crop(view, points_by_class, rng) for _ in range(self.recipe.crops_per_picture)]

    def _augment_picture(self, image_HW3: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        image_HW3 = augment.jitter_lighting(image_HW3, rng)
        if self.recipe.degraded_fraction and rng.random() < self.recipe.degraded_fraction:
            return augment.degrade_at_full_size(image_HW3, rng)
        return image_HW3

    def _sample_augmented_crop(
        self, view: PictureView, points_by_class: list[NDArray[np.float64]], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
        is_uniform = rng.random() < self.recipe.uniform_crop_fraction
        input_3HW, target = view.crop(sample_centre(view, [] if is_uniform else points_by_class, rng))
        input_3HW = augment.add_blur_and_noise(input_3HW, self.recipe.normalisation.clip, rng)
        if rng.random() < 0.5:
            input_3HW, target = input_3HW[..., ::-1], target[..., ::-1]
        return input_3HW, target


def _jitter_scale(mm_per_px: float, recipe: Recipe, rng: np.random.Generator) -> float:
    """Return the scale of one visit to a picture, jittered. An unknown scale is replaced by the training scale."""
    known = mm_per_px if np.isfinite(mm_per_px) else recipe.mm_per_px
    low, high = np.log(recipe.scale_jitter)
    return float(known * np.exp(rng.uniform(low, high)))


def sample_box(
    picture: Picture, points_by_class: list[NDArray[np.float64]], side_px: float, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Return a square of the picture (x0, y0, x1, y1), clipped at its edges: 85 % near foreground, 15 % anywhere."""
    height, width = picture.image_HW3.shape[:2]
    centre = rng.uniform((0, 0), (width, height))
    if points_by_class and rng.random() < _FOREGROUND_BOX_PROBABILITY:
        centre = _sample_point(points_by_class, rng) + rng.uniform(-side_px / 3, side_px / 3, 2)
    sides = np.minimum(np.ceil(side_px), (width, height)).astype(int)
    x0, y0 = np.clip(centre - sides / 2, 0, (width, height) - sides).astype(int)
    return int(x0), int(y0), int(x0 + sides[0]), int(y0 + sides[1])


def extract_crop(picture: Picture, box_xyxy: tuple[int, int, int, int]) -> Picture:
    """Return a box of a picture with its labels."""
    x0, y0, x1, y1 = box_xyxy
    mask_HW = None if picture.mask_HW is None else picture.mask_HW[y0:y1, x0:x1]
    keypoints = tuple(Keypoint(keypoint.kind, keypoint.x - x0, keypoint.y - y0) for keypoint in picture.keypoints)
    return Picture(picture.image_HW3[y0:y1, x0:x1], mask_HW, keypoints)


def sample_centre(
    view: PictureView, points_by_class: list[NDArray[np.float64]], rng: np.random.Generator
) -> tuple[float, float]:
    """Return the centre of a crop in the frame: near a foreground point of a random class, or anywhere."""
    if not points_by_class:
        return float(rng.uniform(0, view.frame.width)), float(rng.uniform(0, view.frame.height))
    x, y = view.frame.from_source(_sample_point(points_by_class, rng)[None])[0]
    reach = 0.4 * view.recipe.crop_px
    return float(x + rng.uniform(-reach, reach)), float(y + rng.uniform(-reach, reach))


def _sample_point(points_by_class: list[NDArray[np.float64]], rng: np.random.Generator) -> NDArray[np.float64]:
    points_N2 = points_by_class[rng.integers(len(points_by_class))]
    return cast(NDArray[np.float64], points_N2[rng.integers(len(points_N2))])


def foreground_points(picture: Picture, classes: tuple[str, ...]) -> list[NDArray[np.float64]]:
    """Return points of each class in the picture: up to 512 labelled pixels, or all its landmarks."""
    if picture.mask_HW is None:
        groups = [
            [(keypoint.x, keypoint.y) for keypoint in picture.keypoints if keypoint.kind == kind] for kind in classes
        ]
        return [np.array(group) for group in groups if group]
    flat, width = picture.mask_HW.ravel(), picture.mask_HW.shape[1]
    labelled = np.flatnonzero(flat)
    points_by_class = []
    for index in range(1, len(classes)):
        indices = labelled[flat[labelled] == index]
        indices = indices[np.linspace(0, len(indices) - 1, min(len(indices), _MAX_POINTS_PER_CLASS)).astype(int)]
        if len(indices):
            points_by_class.append(np.stack([indices % width, indices // width], axis=1).astype(np.float64))
    return points_by_class


class PictureCache:
    """LRU cache of decoded pictures with their foreground points, limited to one gigabyte."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.entries: OrderedDict[TrainingSample, tuple[Picture, list[NDArray[np.float64]]]] = OrderedDict()
        self.size_bytes = 0

    def get(self, sample: TrainingSample) -> tuple[Picture, list[NDArray[np.float64]]]:
        """Return the picture and the foreground points of a sample."""
        if sample in self.entries:
            self.entries.move_to_end(sample)
            return self.entries[sample]
        picture = self.dataset.read(sample)
        self.entries[sample] = picture, foreground_points(picture, self.dataset.classes)
        self.size_bytes += _size_bytes(picture)
        while self.size_bytes > _CACHE_BYTES and len(self.entries) > 1:
            self.size_bytes -= _size_bytes(self.entries.popitem(last=False)[1][0])
        return self.entries[sample]


def _size_bytes(picture: Picture) -> int:
    return picture.image_HW3.nbytes + (picture.mask_HW.nbytes if picture.mask_HW is not None else 0)


def collate(crops: list[tuple[NDArray[np.float32], NDArray[np.generic]]]) -> Batch:
    """Return crops as one batch. Masks become int64, as the cross entropy requires."""
    targets = np.stack([target for _, target in crops])
    if targets.dtype == np.uint8:
        targets = targets.astype(np.int64)
    return Batch(torch.from_numpy(np.stack([input_3HW for input_3HW, _ in crops])), torch.from_numpy(targets))
