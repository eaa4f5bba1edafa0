"""Model predictions and their wire formats.

A segmentation prediction is a NumPy `.npz` without pickles. Its arrays are `probabilities` (uint8, classes x height x
width, 255 is certain, without background), `ridge` (int8, height x width, see `thale.imaging.ridge_filter`) and `meta`
(JSON). A landmark prediction is JSON. Any client that reads NumPy or JSON can read them (ADR 0004). Readers ignore
fields that they do not know, so that a newer model server can serve an older facade.
"""

import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from thale.errors import ModelFailedError
from thale.imaging.geometry import Frame
from thale.schemas import Calibration, Flag, FrozenModel, Landmark, ModelRef, NullableFloat

SEGMENTATION_MEDIA_TYPE = "application/x-npz"
LANDMARKS_MEDIA_TYPE = "application/json"

_MAX_ARRAY_BYTES = 2**28
"""Maximum size of one array in bytes. Images within the size limits require less."""
_DECODE_ERRORS = (
    *(ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error),
    *(NotImplementedError, RuntimeError, MemoryError),  # ZIP compression method, ZIP encryption, array shape
)


class SegmentationMeta(FrozenModel):
    """Metadata of a segmentation prediction: everything except its arrays."""

    model: ModelRef
    """The model version."""
    classes: tuple[str, ...]
    """Names of the classes, background first."""
    frame: Frame
    """Rectangle of the image that the arrays cover."""
    calibration: Calibration
    """Scale and plates of the image."""
    seconds: dict[str, float] = {}
    """Durations of the worker's steps."""


class SegmentationSummary(SegmentationMeta):
    """Areas of a segmentation: each pixel counts for its most likely class."""

    area_px: dict[str, float]
    """Area of each class in square pixels of the image."""
    area_mm2: dict[str, NullableFloat]
    """Area of each class in square millimetres. NaN without a scale."""


class LandmarkPrediction(FrozenModel):
    """The landmarks of one image, in source pixels."""

    model: ModelRef
    """The model version."""
    landmarks: tuple[Landmark, ...]
    """Landmarks of the image."""
    calibration: Calibration
    """Scale and plates of the image."""
    flags: tuple[Flag, ...] = ()
    """Remarks about the prediction."""
    seconds: dict[str, float] = {}
    """Durations of the worker's steps."""


@dataclass(frozen=True)
class SegmentationPrediction:
    """Probability maps of one image.

    `probabilities_CHW` is uint8, one channel per class without the background (`meta.classes[1:]`), in pixels of
    `meta.frame`. `ridge_HW` is the ridge response of the same pixels, int8 (`thale.imaging.ridge_filter`). Older model
    servers do not send it.
    """

    meta: SegmentationMeta
    probabilities_CHW: NDArray[np.uint8]
    ridge_HW: NDArray[np.int8] | None = None

    def class_probability(self, name: str) -> NDArray[np.uint8]:
        """Return the probability map of one class; zeros if the model does not have the class."""
        foreground = self.meta.classes[1:]
        if name not in foreground:
            return np.zeros((self.meta.frame.height, self.meta.frame.width), np.uint8)
        return cast(NDArray[np.uint8], self.probabilities_CHW[foreground.index(name)])

    def class_map(self) -> NDArray[np.uint8]:
        """Return the most likely class of each frame pixel, uint8 HW: 0 is background, 1 is `meta.classes[1]`."""
        return most_likely_classes(self.probabilities_CHW)

    def to_bytes(self) -> bytes:
        """Return the prediction as a compressed `.npz`."""
        arrays: dict[str, NDArray[np.generic]] = {
            "probabilities": self.probabilities_CHW,
            "meta": np.frombuffer(self.meta.model_dump_json().encode(), np.uint8),
        }
        if self.ridge_HW is not None:
            arrays["ridge"] = self.ridge_HW
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "SegmentationPrediction":
        """Parse a prediction.

        Raises:
            ModelFailedError: If the bytes are not a segmentation prediction, or if its arrays have the wrong shape.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                meta = SegmentationMeta.model_validate_json(_read_array(archive, "meta").tobytes(), extra="ignore")
                probabilities = _read_array(archive, "probabilities")
                ridge = _read_array(archive, "ridge") if "ridge.npy" in archive.namelist() else None
        except _DECODE_ERRORS as error:
            raise ModelFailedError(f"the model's response is not a segmentation: {error!r}") from error
        expected = (len(meta.classes) - 1, meta.frame.height, meta.frame.width)
        if probabilities.dtype != np.uint8 or probabilities.shape != expected:
            raise ModelFailedError(
                f"the model returned probabilities {probabilities.dtype} {probabilities.shape}, "
                f"its metadata requires uint8 {expected}"
            )
        if ridge is not None and (ridge.dtype != np.int8 or ridge.shape != expected[1:]):
            raise ModelFailedError(f"the model returned ridges {ridge.dtype} {ridge.shape}, not int8 {expected[1:]}")
        return cls(meta, probabilities, ridge)


def most_likely_classes(probabilities_CHW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the most likely class of each pixel, uint8 HW, 0 for background.

    The background has the remaining probability. A tie goes to the background, or else to the first of the tied organs.
    """
    best_HW = probabilities_CHW[0].copy()
    total_HW = probabilities_CHW[0].astype(np.uint16)
    class_HW = np.ones(best_HW.shape, np.uint8)
    # Channel by channel, because NumPy's argmax over the first axis takes ten times as long.
    for index, probability_HW in enumerate(probabilities_CHW[1:], start=2):
        class_HW[probability_HW > best_HW] = index
        np.maximum(best_HW, probability_HW, out=best_HW)
        total_HW += probability_HW
    class_HW[best_HW <= 255 - np.minimum(total_HW, 255)] = 0
    return class_HW


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    entry = archive.getinfo(f"{name}.npy")
    if entry.file_size > _MAX_ARRAY_BYTES:
        raise ValueError(f"{name} has {entry.file_size} bytes, more than {_MAX_ARRAY_BYTES}")
    with archive.open(entry) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def parse_landmarks(data: bytes) -> LandmarkPrediction:
    """Parse a landmark prediction.

    Raises:
        ModelFailedError: If the bytes are not a landmark prediction.
    """
    try:
        return LandmarkPrediction.model_validate(json.loads(data), extra="ignore")
    except (ValueError, RecursionError) as error:
        raise ModelFailedError(f"the model's response is not a landmark prediction: {error}") from error
