"""Synthetic predictions with known lengths: roots are discs along polylines, at 16 px/mm."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.draw import disk, ellipse

from thale.imaging.geometry import Frame
from thale.models.predictions import SegmentationMeta, SegmentationPrediction
from thale.phenotyping.plants.reconstruct import PlateReconstruction
from thale.schemas import Calibration, Landmark, LandmarkKind, ModelRef, Plant, Scale

MM_PER_PX = 0.0625
ROOT_RADIUS_PX = 2.5
KNOWN_SCALE = Scale(mm_per_px=MM_PER_PX, source="given")
UNKNOWN_SCALE = Scale(mm_per_px=math.nan, source="none")
MODEL = ModelRef(name="plate-seg", version="1.0.0", digest="sha256:0")

XY = tuple[float, float]


@dataclass
class DrawnMaps:
    """Probability maps of root, shoot and seed with landmarks, in pixels of the source image."""

    height: int = 640
    width: int = 640
    landmarks: list[Landmark] = field(default_factory=list)
    channels: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        self.channels = np.zeros((3, self.height, self.width), np.float32)

    def draw_root(self, *points: XY, radius: float = ROOT_RADIUS_PX) -> float:
        """Draw a root along points (x, y) and return its length in px."""
        line = np.array(points, float)
        steps = np.hypot(*np.diff(line, axis=0).T)
        arc = np.concatenate([[0], np.cumsum(steps)])
        for at in np.arange(0, arc[-1] + 0.25, 0.5):
            x, y = (np.interp(at, arc, line[:, axis]) for axis in (0, 1))
            self.channels[(0, *disk((y, x), radius, shape=(self.height, self.width)))] = 1
        return float(arc[-1])

    def draw_shoot(self, x: float, y: float, rx: float = 14, ry: float = 8) -> None:
        self.channels[(1, *ellipse(y, x, ry, rx, shape=(self.height, self.width)))] = 1

    def draw_seed(self, x: float, y: float, radius: float = 4) -> None:
        self.channels[(2, *disk((y, x), radius, shape=(self.height, self.width)))] = 1

    def add_landmark(self, kind: LandmarkKind, x: float, y: float, score: float = 0.9) -> None:
        self.landmarks.append(Landmark(kind=kind, x=x, y=y, score=score))

    def draw_plant(self, x: float, top: float, length: float = 320) -> float:
        """Draw a seedling with a straight primary root and its landmarks; return the root's length in px."""
        self.draw_shoot(x, top - 8)
        self.add_landmark("root_base", x, top)
        self.add_landmark("primary_tip", x, top + length)
        return self.draw_root((x, top), (x, top + length))

    def erase(self, x0: int, y0: int, x1: int, y1: int) -> None:
        self.channels[:, y0:y1, x0:x1] = 0

    def to_prediction(self, scale: Scale = KNOWN_SCALE) -> SegmentationPrediction:
        soft = np.stack([gaussian_filter(channel, 0.7) for channel in self.channels])
        return segmentation_prediction((np.clip(soft, 0, 1) * 255).astype(np.uint8), scale)


def segmentation_prediction(probabilities_3HW: NDArray[np.uint8], scale: Scale = KNOWN_SCALE) -> SegmentationPrediction:
    _, height, width = probabilities_3HW.shape
    frame = Frame(x0=0, y0=0, source_width=width, source_height=height, width=width, height=height)
    meta = SegmentationMeta(
        model=MODEL,
        classes=("background", "root", "shoot", "seed"),
        frame=frame,
        calibration=Calibration(scale=scale),
    )
    return SegmentationPrediction(meta, probabilities_3HW)


def arc(centre: XY, radius: float, start_deg: float, end_deg: float) -> list[XY]:
    angles = np.radians(np.linspace(start_deg, end_deg, 200))
    return [(centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a)) for a in angles]


def codes(reconstruction: PlateReconstruction) -> set[str]:
    """Return the codes of all flags of a plate and its plants."""
    plant_flags = [flag for plant in reconstruction.plants for flag in plant.flags]
    return {flag.code for flag in (*reconstruction.flags, *plant_flags)}


def total_px(plant: Plant) -> float:
    return sum(root.length_px for root in plant.roots)
