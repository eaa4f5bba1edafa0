"""Measure the assignment of roots to plants on drawn pairs of touching and crossing root systems with known truth.

Two seedlings of the growth model stand so near to each other that their roots touch. Their probability maps are drawn
from the truth, so that the benchmark measures the tracing and not a net. `perfect` maps have every root and every tip.
`noisy` maps have faint roots, gaps, roots that are a little too wide, missed tips and false tips.

    right     share of the true root length that is traced as part of its own plant
    other     share of the true root length that is traced as part of the other plant only
    missing   share of the true root length that is traced as part of no plant
    false     traced length that is no root of the plant, over the true root length

A plant is wrong if less than 95 % of its length is right, or if more than 5 % is false. A wrong plant whose total root
length has the quality `ok` would be published.

    python benchmarks/plant_assignment.py [--pairs 100] [--seed 0] [--worst 5 --out folder]
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from skimage.draw import ellipse

from thale.imaging.geometry import Frame
from thale.models.predictions import SegmentationMeta, SegmentationPrediction
from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.reconstruct import reconstruct_plants
from thale.phenotyping.quality.neighbour_contacts import flag_neighbour_contacts
from thale.phenotyping.quality.tip_agreement import flag_doubtful_tips
from thale.phenotyping.traits.measure import measure
from thale.schemas import Calibration, Landmark, LandmarkKind, ModelRef, Plant, Scale
from thale_models.synthesis.seedling import GrowingArea, Habit, Seedling, grow_seedling

PX_PER_MM = 16.0
AREA = GrowingArea(0, 0, 60, 100)
BASE_Y_MM = 9.0
TOLERANCE_MM = 0.4
MIN_RIGHT, MAX_FALSE = 0.95, 0.05
SCALE = Scale(mm_per_px=1 / PX_PER_MM, source="given")
SPACING_MM = {"touching laterals": (18, 22), "crossing primaries": (18, 22), "crowded": (8, 18)}
"""Distance between the root bases of each kind of pairs. Seedlings usually stand 18 to 22 mm apart."""
KINDS = tuple(SPACING_MM)
MAPS = ("perfect", "noisy")


@dataclass(frozen=True)
class Pair:
    """Two seedlings whose roots touch."""

    kind: str
    seedlings: tuple[Seedling, Seedling]

    def roots_px(self, plant: int) -> list[Points]:
        """Return the centre lines of one plant at steps of one pixel."""
        return [polyline.resample(root.points_mm * PX_PER_MM) for root in self.seedlings[plant].roots]


@dataclass(frozen=True)
class Score:
    """Lengths of one true plant in px, and the flags of the traced plant."""

    kind: str
    maps: str
    seed: int
    plant: int
    true: float
    right: float
    other: float
    false: float
    primary_is_right: bool
    quality: str
    flags: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        """True if the plant's length is right within 5 %."""
        return self.right >= MIN_RIGHT * self.true and self.false <= MAX_FALSE * self.true


def grow_pair(seed: int, kind: str) -> Pair:
    """Return the first pair of a seed whose roots touch."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    while True:
        habit = Habit.sample(rng, PX_PER_MM)
        lean = rng.uniform(0.15, 0.5) if kind == "crossing primaries" else 0.0
        middle, half = (AREA.left + AREA.right) / 2, rng.uniform(*SPACING_MM[kind]) / 2
        left, right = (
            grow_seedling(rng, (middle + side * half, BASE_Y_MM), replace(habit, slant=-side * lean), AREA)
            for side in (-1, 1)
        )
        pair = Pair(kind, (left, right))
        first, second = _primaries_only(pair.seedlings) if kind == "crossing primaries" else pair.seedlings
        if _touch(first, second):
            return pair


def _primaries_only(seedlings: Sequence[Seedling]) -> tuple[Seedling, Seedling]:
    left, right = (replace(seedling, roots=seedling.roots[:1]) for seedling in seedlings)
    return left, right


def _touch(first: Seedling, second: Seedling) -> bool:
    tree = cKDTree(np.vstack([root.points_mm for root in first.roots]))
    points = np.vstack([root.points_mm for root in second.roots])
    return bool(tree.query(points)[0].min() <= first.roots[0].width_mm)


def draw_maps(pair: Pair, maps: str, seed: int) -> tuple[SegmentationPrediction, list[Landmark]]:
    """Return the prediction of a perfect or noisy model."""
    rng = np.random.default_rng([seed, 7])
    noisy = maps == "noisy"
    height, width = round(AREA.bottom * PX_PER_MM), round(AREA.right * PX_PER_MM)
    root_HW, shoot_HW = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    landmarks: list[Landmark] = []
    for plant, seedling in enumerate(pair.seedlings):
        for root, line in zip(seedling.roots, pair.roots_px(plant), strict=True):
            radius = root.width_mm * PX_PER_MM / 2 * (rng.uniform(0.9, 1.4) if noisy else 1.0)
            _draw_line(root_HW, line, radius, _strength(rng, len(line), root.order) if noisy else np.ones(len(line)))
            kind: LandmarkKind = "primary_tip" if root.order == 1 else "lateral_tip"
            if not noisy or rng.random() > (0.04 if root.order == 1 else 0.12):
                landmarks.append(_landmark(rng, kind, line[-1], noisy))
        landmarks.append(_landmark(rng, "root_base", seedling.roots[0].points_mm[0] * PX_PER_MM, noisy))
        hypocotyl = polyline.resample(seedling.hypocotyl_mm * PX_PER_MM)
        _draw_line(shoot_HW, hypocotyl, seedling.hypocotyl_width_mm * PX_PER_MM / 2, np.ones(len(hypocotyl)))
        x, y = hypocotyl[-1]
        shoot_HW[ellipse(y, x, 12, 24, shape=shoot_HW.shape)] = 1
    if noisy:
        landmarks += [_landmark(rng, "lateral_tip", _root_point(rng, pair), noisy) for _ in range(rng.poisson(1.5))]
    root_HW[shoot_HW > 0] = 0
    levels_3HW = np.stack([gaussian_filter(channel, 0.7) for channel in (root_HW, shoot_HW, np.zeros_like(root_HW))])
    frame = Frame(x0=0, y0=0, source_width=width, source_height=height, width=width, height=height)
    meta = SegmentationMeta(
        model=ModelRef(name="drawn", version="1.0.0", digest="sha256:0"),
        classes=("background", "root", "shoot", "seed"),
        frame=frame,
        calibration=Calibration(scale=SCALE),
    )
    return SegmentationPrediction(meta, (np.clip(levels_3HW, 0, 1) * 255).astype(np.uint8)), landmarks


def _strength(rng: np.random.Generator, count: int, order: int) -> NDArray[np.float64]:
    """Return the probability along a root: laterals fade, and one in four roots has a gap of up to 1.5 mm."""
    strength = np.full(count, rng.uniform(0.75, 1.0) if order == 1 else rng.uniform(0.45, 1.0))
    strength += gaussian_filter(rng.normal(0, 1, count), 12, mode="nearest") * 0.6
    if rng.random() < 0.25:
        start, gap = rng.integers(0, count), round(rng.uniform(0.3, 1.5) * PX_PER_MM)
        strength[start : start + gap] = 0.0
    return np.asarray(np.clip(strength, 0, 1))


def _draw_line(image_HW: NDArray[np.float32], line: Points, radius: float, strength: NDArray[np.float64]) -> None:
    reach = math.ceil(radius)
    offsets = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    for (x, y), level in zip(line, strength, strict=True):
        rows, cols = offsets + np.round([[y], [x]]).astype(int)
        inside = (rows >= 0) & (rows < image_HW.shape[0]) & (cols >= 0) & (cols < image_HW.shape[1])
        inside &= np.hypot(rows - y, cols - x) <= radius
        pixels = rows[inside], cols[inside]
        image_HW[pixels] = np.maximum(image_HW[pixels], level)


def _landmark(rng: np.random.Generator, kind: LandmarkKind, xy: Points, noisy: bool) -> Landmark:
    x, y = xy + (rng.normal(0, 0.12 * PX_PER_MM, 2) if noisy else 0.0)
    return Landmark(kind=kind, x=float(x), y=float(y), score=rng.uniform(0.35, 0.95) if noisy else 0.9)


def _root_point(rng: np.random.Generator, pair: Pair) -> Points:
    line = np.vstack(pair.roots_px(int(rng.integers(2))))
    return np.asarray(line[rng.integers(len(line))])


def measure_pair(seed: int, kind: str, maps: str) -> Iterator[tuple[Score, Pair, tuple[Plant, ...]]]:
    """Trace one pair and yield a score for each of its plants."""
    pair = grow_pair(seed, kind)
    prediction, landmarks = draw_maps(pair, maps, seed)
    reconstruction = reconstruct_plants(prediction, landmarks)
    plants = flag_doubtful_tips(reconstruction.plants, landmarks, SCALE)
    plants = flag_neighbour_contacts(plants, SCALE, reconstruction.exchange_margins)
    bases = [np.asarray(seedling.roots[0].points_mm[0]) * PX_PER_MM for seedling in pair.seedlings]
    owners = [
        int(np.argmin([np.hypot(*(np.array(plant.roots[0].points[0]) - base)) for base in bases]))
        if plant.roots
        else -1
        for plant in plants
    ]
    for index in range(2):
        found = [plant for plant, owner in zip(plants, owners, strict=True) if owner == index]
        others = [plant for plant, owner in zip(plants, owners, strict=True) if owner not in (index, -1)]
        yield _score(seed, maps, pair, index, found, others), pair, plants


def _score(seed: int, maps: str, pair: Pair, index: int, found: Sequence[Plant], others: Sequence[Plant]) -> Score:
    true = np.vstack(pair.roots_px(index))
    traced, foreign = _sample(found), _sample(others)
    right_N = _distance(traced, true) <= TOLERANCE_MM * PX_PER_MM
    other_N = ~right_N & (_distance(foreign, true) <= TOLERANCE_MM * PX_PER_MM)
    false_N = _distance(true, traced) > TOLERANCE_MM * PX_PER_MM
    primary = next((root for plant in found for root in plant.roots if root.order == 1), None)
    tip = pair.seedlings[index].roots[0].points_mm[-1] * PX_PER_MM
    traits = [trait for plant in found for trait in measure(plant, SCALE) if trait.trait == "total_root_length"]
    flags = [flag.code for plant in found for flag in plant.flags]
    return Score(
        kind=pair.kind,
        maps=maps,
        seed=seed,
        plant=index,
        true=float(len(true)),
        right=float(right_N.sum()),
        other=float(other_N.sum()),
        false=float(false_N.sum()),
        primary_is_right=primary is not None and bool(np.hypot(*(np.array(primary.points[-1]) - tip)) <= PX_PER_MM),
        quality=traits[0].quality if traits else "unknown",
        flags=tuple(dict.fromkeys(flags)),
    )


def _sample(plants: Sequence[Plant]) -> Points:
    """Return points at steps of one pixel along all roots."""
    lines = [polyline.resample(np.array(root.points)) for plant in plants for root in plant.roots]
    return np.vstack([np.zeros((0, 2)), *lines])


def _distance(to: Points, points: Points) -> NDArray[np.float64]:
    if not len(to):
        return np.full(len(points), np.inf)
    return np.asarray(cKDTree(to).query(points)[0])


def summarise(scores: Sequence[Score]) -> str:
    """Return one line for each kind of pairs and maps."""
    header = ("pairs", "maps", "right", "other", "missing", "false", "tips", "wrong", "ok", "right", "ok")
    lines = [("{:20} {:8}" + " {:>8}" * 5 + " {:>7} {:>4} {:>7} {:>4}").format(*header)]
    for kind in (*KINDS, "all"):
        for maps in MAPS:
            chosen = [score for score in scores if score.maps == maps and kind in (score.kind, "all")]
            if not chosen:
                continue
            true = sum(score.true for score in chosen)
            right, other, false = (sum(getattr(s, name) for s in chosen) / true for name in ("right", "other", "false"))
            tips = sum(score.primary_is_right for score in chosen) / len(chosen)
            wrong_plants = [score for score in chosen if not score.is_right]
            right_plants = [score for score in chosen if score.is_right]
            counts = [len(wrong_plants), sum(s.quality == "ok" for s in wrong_plants)]
            counts += [len(right_plants), sum(s.quality == "ok" for s in right_plants)]
            shares = " ".join(f"{share:8.4f}" for share in (right, other, 1 - right - other, false, tips))
            lines.append(f"{kind:20} {maps:8} {shares} {counts[0]:7} {counts[1]:4} {counts[2]:7} {counts[3]:4}")
    return "\n".join(lines)


def draw_overlay(pair: Pair, maps: str, seed: int, plants: Sequence[Plant]) -> Image.Image:
    """Return the truth (left) and the traced roots (right) on the root probability."""
    prediction, landmarks = draw_maps(pair, maps, seed)
    grey = Image.fromarray(255 - prediction.class_probability("root") // 2).convert("RGB")
    truth, traced = grey.copy(), grey
    colours = ((220, 0, 0), (0, 90, 220), (0, 150, 0))
    for index in range(2):
        for line in pair.roots_px(index):
            ImageDraw.Draw(truth).line([tuple(point) for point in line], fill=colours[index], width=2)
    for plant in plants:
        for root in plant.roots:
            width = 3 if root.order == 1 else 2
            ImageDraw.Draw(traced).line(list(root.points), fill=colours[(plant.id - 1) % 3], width=width)
    for landmark in landmarks:
        box = (landmark.x - 4, landmark.y - 4, landmark.x + 4, landmark.y + 4)
        ImageDraw.Draw(traced).ellipse(box, outline=(0, 160, 0) if landmark.kind == "lateral_tip" else (200, 0, 200))
    both = Image.new("RGB", (2 * grey.width, grey.height))
    both.paste(truth, (0, 0))
    both.paste(traced, (grey.width, 0))
    return both


def main() -> None:
    """Trace all pairs, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100, help="pairs of each kind")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first pair")
    parser.add_argument("--worst", type=int, default=0, help="number of overlays of the worst plants")
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the overlays")
    arguments = parser.parse_args()
    results = [
        result
        for maps in MAPS
        for kind in KINDS
        for seed in range(arguments.seed, arguments.seed + arguments.pairs)
        for result in measure_pair(seed, kind, maps)
    ]
    scores = [score for score, _, _ in results]
    print(summarise(scores))  # noqa: T201
    lost = sorted(results, key=lambda result: result[0].right - result[0].true - result[0].false)
    for number, (score, pair, plants) in enumerate(lost[: arguments.worst], start=1):
        print(number, score)  # noqa: T201
        arguments.out.mkdir(parents=True, exist_ok=True)
        draw_overlay(pair, score.maps, score.seed, plants).save(arguments.out / f"worst-{number}.png")


if __name__ == "__main__":
    main()
