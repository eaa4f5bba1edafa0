"""From labelled pictures to batches of crops.

A batch is a pure function of the seed and the step: whoever resumes at step 4000 sees the crops that an uninterrupted
run would have seen. A picture is decoded and resampled once a visit, by the same functions as in serving; several crops
are taken from it.
"""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from thale.geometry import Frame
from thale_models import augment
from thale_models.annotations import Mark
from thale_models.dataset import Dataset, Picture, Sample
from thale_models.losses import IGNORED
from thale_models.recipes import Recipe
from thale_models.transforms import Background, frame_for, normalise, resample

_ANCHORS = 512
_CACHE_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Batch:
    """Crops of one step: pictures N3HW float32; targets NHW int64 (masks) or NCHW float32 (heatmaps)."""

    pictures_N3HW: Tensor
    targets: Tensor


class View:
    """One picture at training scale with its background: what crops are taken from."""

    def __init__(self, picture: Picture, mm_per_px: float, recipe: Recipe) -> None:
        height, width = picture.image_HW3.shape[:2]
        self.recipe = recipe
        self.picture = picture
        self.frame = frame_for((0, 0, width, height), mm_per_px, recipe.mm_per_px)
        self.pixels_HW3 = resample(picture.image_HW3, self.frame)
        self.background = Background.of(self.pixels_HW3, recipe.normalisation.background_mm / recipe.mm_per_px)

    def crop(self, centre_xy: tuple[float, float]) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
        """Return the net's input (3HW) and its target around a point of the frame, shifted to lie in the picture.

        A picture smaller than the crop is set at its top left; the rest is plain background without a label.
        """
        size = self.recipe.crop_px
        left, top = (
            int(np.clip(round(centre - size / 2), 0, max(0, length - size)))
            for centre, length in zip(centre_xy, (self.frame.width, self.frame.height), strict=True)
        )
        bottom, right = min(top + size, self.frame.height), min(left + size, self.frame.width)
        window = slice(top, bottom), slice(left, right)
        seen = normalise(self.pixels_HW3[window], self.background.window(window), self.recipe.normalisation)
        padding = ((0, size - (bottom - top)), (0, size - (right - left)))
        target = self._target(left, top, right, bottom)
        beyond = IGNORED if self.recipe.task == "segmentation" else np.nan
        leading = ((0, 0),) * (target.ndim - 2)
        return np.pad(seen, ((0, 0), *padding)), np.pad(target, (*leading, *padding), constant_values=beyond)

    def _target(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.generic]:
        if self.picture.mask_HW is not None:
            return crop_mask(self.picture.mask_HW, self.frame, (left, top, right, bottom), len(self.recipe.classes))
        sigma_px = self.recipe.sigma_mm / self.recipe.mm_per_px
        return draw_heatmaps(self.picture.marks, self.frame, (left, top, right, bottom), self.recipe.classes, sigma_px)


def crop_mask(
    mask_HW: NDArray[np.uint8], frame: Frame, box_xyxy: tuple[int, int, int, int], classes: int
) -> NDArray[np.uint8]:
    """Return a box of a frame as class indices: each class is averaged over a pixel, and the largest one wins."""
    left, top, right, bottom = box_xyxy
    across, down = frame.source_width / frame.width, frame.source_height / frame.height
    source = (
        frame.x0 + left * across,
        frame.y0 + top * down,
        min(frame.x0 + right * across, mask_HW.shape[1]),
        min(frame.y0 + bottom * down, mask_HW.shape[0]),
    )
    size = (right - left, bottom - top)
    shares = [
        np.asarray(
            Image.fromarray((mask_HW == index).view(np.uint8) * np.uint8(255)).resize(
                size, Image.Resampling.BILINEAR, box=source
            )
        )
        for index in range(classes)
    ]
    return np.argmax(shares, axis=0).astype(np.uint8)


def draw_heatmaps(
    marks: tuple[Mark, ...],
    frame: Frame,
    box_xyxy: tuple[int, int, int, int],
    kinds: tuple[str, ...],
    sigma_px: float,
) -> NDArray[np.float32]:
    """Return one plane for each kind: a Gaussian around each landmark, exactly 1 at the pixel nearest to it."""
    left, top, right, bottom = box_xyxy
    heatmaps_CHW = np.zeros((len(kinds), bottom - top, right - left), np.float32)
    rows, columns = np.arange(bottom - top), np.arange(right - left)
    for mark in marks:
        x, y = frame.from_source(np.array([[mark.x, mark.y]]))[0] - (left, top)
        plane = heatmaps_CHW[kinds.index(mark.kind)]
        across = np.exp(-((columns - x) ** 2) / (2 * sigma_px**2))
        down = np.exp(-((rows - y) ** 2) / (2 * sigma_px**2))
        np.maximum(plane, np.minimum(np.outer(down, across), 0.999), out=plane)
        row, column = round(y), round(x)
        if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
            plane[row, column] = 1.0
    return heatmaps_CHW


class TrainingBatches(torch.utils.data.Dataset[Batch]):
    """Augmented batches by step, for a DataLoader that does not shuffle."""

    def __init__(self, dataset: Dataset, recipe: Recipe, seed: int) -> None:
        self.pictures = PictureCache(dataset)
        self.samples = dataset.split("train")
        self.recipe = recipe
        self.seed = seed

    def __getitem__(self, step: int) -> Batch:
        """Return the batch of one step."""
        visits = self.recipe.batch // self.recipe.crops_per_picture
        crops = [crop for visit in range(visits) for crop in self._visit(step * visits + visit)]
        return stack(crops)

    def _visit(self, visit: int) -> list[tuple[NDArray[np.float32], NDArray[np.generic]]]:
        epoch, place = divmod(visit, len(self.samples))
        order = np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.samples))
        rng = np.random.default_rng([self.seed, 1, visit])
        sample = self.samples[order[place]]
        picture, anchors = self.pictures.get(sample)
        lit = Picture(augment.relight(picture.image_HW3, rng), picture.mask_HW, picture.marks)
        view = View(lit, _jittered(sample.mm_per_px, self.recipe, rng), self.recipe)
        return [self._augmented(view, anchors, rng) for _ in range(self.recipe.crops_per_picture)]

    def _augmented(
        self, view: View, anchors: list[NDArray[np.float64]], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
        anywhere = rng.random() < self.recipe.crops_anywhere
        seen, target = view.crop(choose_centre(view, [] if anywhere else anchors, rng))
        seen = augment.roughen(seen, self.recipe.normalisation.clip, rng)
        if rng.random() < 0.5:
            seen, target = seen[..., ::-1], target[..., ::-1]
        return seen, target


def _jittered(mm_per_px: float, recipe: Recipe, rng: np.random.Generator) -> float:
    """Return the scale under which a picture is taken this time: unknown scales are jittered about the training's."""
    known = mm_per_px if np.isfinite(mm_per_px) else recipe.mm_per_px
    low, high = np.log(recipe.scale_jitter)
    return float(known * np.exp(rng.uniform(low, high)))


def choose_centre(view: View, anchors: list[NDArray[np.float64]], rng: np.random.Generator) -> tuple[float, float]:
    """Return a crop's centre in the frame: near an anchor of a class drawn at random, or anywhere without anchors."""
    if not anchors:
        return float(rng.uniform(0, view.frame.width)), float(rng.uniform(0, view.frame.height))
    points_N2 = anchors[rng.integers(len(anchors))]
    x, y = view.frame.from_source(points_N2[rng.integers(len(points_N2))][None])[0]
    reach = 0.4 * view.recipe.crop_px
    return float(x + rng.uniform(-reach, reach)), float(y + rng.uniform(-reach, reach))


def find_anchors(picture: Picture, classes: tuple[str, ...]) -> list[NDArray[np.float64]]:
    """Return points of each class that is in the picture: up to 512 labelled pixels, or all its landmarks."""
    if picture.mask_HW is None:
        groups = [[(mark.x, mark.y) for mark in picture.marks if mark.kind == kind] for kind in classes]
        return [np.array(group) for group in groups if group]
    flat, width = picture.mask_HW.ravel(), picture.mask_HW.shape[1]
    labelled = np.flatnonzero(flat)
    anchors = []
    for index in range(1, len(classes)):
        places = labelled[flat[labelled] == index]
        places = places[np.linspace(0, len(places) - 1, min(len(places), _ANCHORS)).astype(int)]
        if len(places):
            anchors.append(np.stack([places % width, places // width], axis=1).astype(np.float64))
    return anchors


class PictureCache:
    """Decoded pictures with their anchors; the least recently used leave when a gigabyte is full."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.held: OrderedDict[Sample, tuple[Picture, list[NDArray[np.float64]]]] = OrderedDict()
        self.size_bytes = 0

    def get(self, sample: Sample) -> tuple[Picture, list[NDArray[np.float64]]]:
        """Return a sample's picture and anchors."""
        if sample in self.held:
            self.held.move_to_end(sample)
            return self.held[sample]
        picture = self.dataset.read(sample)
        self.held[sample] = picture, find_anchors(picture, self.dataset.classes)
        self.size_bytes += _size_bytes(picture)
        while self.size_bytes > _CACHE_BYTES and len(self.held) > 1:
            self.size_bytes -= _size_bytes(self.held.popitem(last=False)[1][0])
        return self.held[sample]


def _size_bytes(picture: Picture) -> int:
    return picture.image_HW3.nbytes + (picture.mask_HW.nbytes if picture.mask_HW is not None else 0)


def stack(crops: list[tuple[NDArray[np.float32], NDArray[np.generic]]]) -> Batch:
    """Return crops as one batch; masks become int64, as the cross entropy wants them."""
    targets = np.stack([target for _, target in crops])
    if targets.dtype == np.uint8:
        targets = targets.astype(np.int64)
    return Batch(torch.from_numpy(np.stack([seen for seen, _ in crops])), torch.from_numpy(targets))
