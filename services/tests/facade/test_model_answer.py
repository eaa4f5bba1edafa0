"""A worker's answer is taken only for the model that was released."""

import numpy as np
import pytest

from thale.answers import LandmarksAnswer, SegmentationAnswer, SegmentationMeta
from thale.contract import Calibration, ModelRef, Scale
from thale.errors import ModelFailedError
from thale.facade.model_answer import Answer
from thale.facade.traffic import Choice
from thale.geometry import Frame

CALIBRATION = Calibration(scale=Scale(mm_per_px=0.1, source="given"))
ASKED = Choice(
    "plate-seg",
    "1.1.0",
    "segmentation",
    digest="sha256:archive",
    weights_digest="sha256:weights",
    classes=("background", "root"),
)
TOLD = ModelRef(name="plate-seg", version="1.1.0", digest="sha256:weights", engine="openvino 2026.4")


def segmented(model: ModelRef) -> Answer:
    frame = Frame(x0=0, y0=0, source_width=5, source_height=4, width=5, height=4)
    meta = SegmentationMeta(model=model, classes=("background", "root"), frame=frame, calibration=CALIBRATION)
    return Answer(ASKED, SegmentationAnswer(meta, np.zeros((1, 4, 5), np.uint8)).to_bytes(), 0.1, 5, 4)


def marked(model: ModelRef) -> Answer:
    answer = LandmarksAnswer(model=model, landmarks=(), calibration=CALIBRATION)
    return Answer(ASKED, answer.model_dump_json().encode(), 0.1, 5, 4)


def test_an_answer_names_the_archive_that_was_released_with_its_weights() -> None:
    expected = TOLD.model_copy(update={"digest": "sha256:archive"})
    assert segmented(TOLD).segmentation().meta.model == expected
    assert marked(TOLD).landmarks().model == expected


@pytest.mark.parametrize("change", [{"digest": "sha256:other"}, {"version": "1.0.0"}, {"name": "rosette-seg"}])
def test_another_models_answer_is_a_failure_and_not_a_measurement(change: dict[str, str]) -> None:
    other = TOLD.model_copy(update=change)
    with pytest.raises(ModelFailedError, match=r"plate-seg 1\.1\.0 was asked"):
        segmented(other).segmentation()
    with pytest.raises(ModelFailedError, match=r"plate-seg 1\.1\.0 was asked"):
        marked(other).landmarks()
