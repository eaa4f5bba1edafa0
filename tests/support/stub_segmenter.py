"""TorchServe handler of a stub segmentation by colour thresholds: fast, and correct on tiny plates.

A test injects a fault through the file `fault-VERSION` while the handler serves:
exception | intermittent exception | slow | all background
"""

import itertools
import os
import time
from pathlib import Path

import numpy as np

from thale.models.predictions import SEGMENTATION_MEDIA_TYPE
from thale_models.handlers import request, segment
from thale_models.inference import segment as predict_segmentation
from thale_models.transforms import resample

DELAY_S = 3.0
ERROR_PERIOD = 10
"""The fault `intermittent exception` fails every tenth request."""
_requests = itertools.count(1)


class StubSegmenter(segment.SegmentHandler):
    """Segments tiny plates, with an optional fault."""

    def _predict(self, item: request.DecodedRequest) -> request.HandlerResponse:
        fault = read_fault(self.card.version)
        if fault == "exception" or (fault == "intermittent exception" and next(_requests) % ERROR_PERIOD == 0):
            first_bad_file(Path(os.environ["TMPDIR"]).parent).touch()
            raise RuntimeError("injected fault")
        if fault == "slow":
            time.sleep(DELAY_S)
        prediction = predict_segmentation(item.image_HW3, self.card, self.engine, item.calibration)
        red, green, blue = resample(item.image_HW3, prediction.meta.frame).astype(int).transpose(2, 0, 1)
        root, shoot = (red > 150) & (blue > 150), green - red > 40
        planes_CHW = np.stack([root, shoot, np.zeros_like(root)]) & (fault != "all background")
        prediction.probabilities_CHW[:] = planes_CHW * np.uint8(250)
        return prediction.to_bytes(), SEGMENTATION_MEDIA_TYPE


def read_fault(version: str) -> str:
    """Return the fault of a version, `good` without a fault file."""
    file = fault_file(Path(os.environ["TMPDIR"]).parent, version)
    return file.read_text() if file.exists() else "good"


def fault_file(folder: Path, version: str) -> Path:
    """Return the file that contains the fault of a version."""
    return folder / f"fault-{version}"


def first_bad_file(folder: Path) -> Path:
    """Return the file that exists after the first bad response."""
    return folder / "bad"
