"""TorchServe's entry point for a segmentation that paints what it sees by colour: right on tiny plates, and at once.

What it does beside that stands in the file `mood-VERSION`, which a test writes while it serves:
throws | is slow | sees nothing
"""

import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thale.models.predictions import SEGMENTATION_MEDIA_TYPE
from thale.schemas import Calibration
from thale_models.handlers import request, segment
from thale_models.inference import segment as segmented
from thale_models.transforms import resample

SLOW_S = 3.0


class PaintingSegmenter(segment.SegmentHandler):
    """Segments tiny plates, in whatever mood it is."""

    def _measure(self, image_HW3: NDArray[np.uint8], calibration: Calibration) -> request.Answer:
        mood = read_mood(self.card.version)
        if mood == "throws":
            first_bad_file(Path(os.environ["TMPDIR"]).parent).touch()
            raise RuntimeError("in no mood")
        if mood == "is slow":
            time.sleep(SLOW_S)
        answer = segmented(image_HW3, self.card, self.engine, calibration)
        red, green, blue = resample(image_HW3, answer.meta.frame).astype(int).transpose(2, 0, 1)
        root, shoot = (red > 150) & (blue > 150), green - red > 40
        planes_CHW = np.stack([root, shoot, np.zeros_like(root)]) & (mood != "sees nothing")
        answer.probabilities_CHW[:] = planes_CHW * np.uint8(250)
        return answer.to_bytes(), SEGMENTATION_MEDIA_TYPE


def read_mood(version: str) -> str:
    file = mood_file(Path(os.environ["TMPDIR"]).parent, version)
    return file.read_text() if file.exists() else "good"


def mood_file(home: Path, version: str) -> Path:
    return home / f"mood-{version}"


def first_bad_file(home: Path) -> Path:
    """Return the file that is there as soon as a bad answer was given."""
    return home / "bad"
