"""What a model's worker answers, and how it is written on the wire.

A segmentation answer is a NumPy `.npz` without pickles: `probabilities` (uint8, classes x height x width, 255 is
certain, background left out), `ridge` (int8, height x width, see `thale.imaging.ridge_filter`) and `meta` (JSON). A landmarks answer
is JSON. Any client that reads NumPy or JSON can read them.
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
"""Of one array: more than any picture within the limits gives, and less than would hurt a process that reads it."""
_DECODE_ERRORS = (
    *(ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error),
    *(NotImplementedError, RuntimeError, MemoryError),  # a zip's compression, a zip's encryption, an array's shape
)


class SegmentationMeta(FrozenModel):
    """Everything of a segmentation answer but its pixels."""

    model: ModelRef
    classes: tuple[str, ...]
    frame: Frame
    calibration: Calibration
    seconds: dict[str, float] = {}


class SegmentationSummary(SegmentationMeta):
    """A segmentation in numbers: the area of each class, each pixel counted for its likeliest class."""

    area_px: dict[str, float]
    area_mm2: dict[str, NullableFloat]


class LandmarkPrediction(FrozenModel):
    """The landmarks of one image, in source pixels."""

    model: ModelRef
    landmarks: tuple[Landmark, ...]
    calibration: Calibration
    flags: tuple[Flag, ...] = ()
    seconds: dict[str, float] = {}


@dataclass(frozen=True)
class SegmentationPrediction:
    """Probability maps of one image.

    `probabilities_CHW` is uint8, one plane for each class but the background (`meta.classes[1:]`), in pixels of
    `meta.frame`. `ridge_HW` is the classical method's view of the same pixels (`thale.imaging.ridge_filter.ridge_plane`), int8; None
    in the answer of a model server that has no second method.
    """

    meta: SegmentationMeta
    probabilities_CHW: NDArray[np.uint8]
    ridge_HW: NDArray[np.int8] | None = None

    def class_probability(self, name: str) -> NDArray[np.uint8]:
        """Return one class's probabilities; all zero where the model does not know the class."""
        foreground = self.meta.classes[1:]
        if name not in foreground:
            return np.zeros((self.meta.frame.height, self.meta.frame.width), np.uint8)
        return cast(NDArray[np.uint8], self.probabilities_CHW[foreground.index(name)])

    def to_bytes(self) -> bytes:
        """Return the answer as a compressed `.npz`."""
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
        """Read an answer.

        Raises:
            ModelFailedError: If the bytes are no segmentation answer, or their parts do not fit together.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                meta = SegmentationMeta.model_validate_json(_read_array(archive, "meta").tobytes())
                probabilities = _read_array(archive, "probabilities")
                ridge = _read_array(archive, "ridge") if "ridge.npy" in archive.namelist() else None
        except _DECODE_ERRORS as error:
            raise ModelFailedError(f"the model's answer is no segmentation: {error!r}") from error
        expected = (len(meta.classes) - 1, meta.frame.height, meta.frame.width)
        if probabilities.dtype != np.uint8 or probabilities.shape != expected:
            raise ModelFailedError(
                f"the model answered {probabilities.dtype} {probabilities.shape}, its card promises uint8 {expected}"
            )
        if ridge is not None and (ridge.dtype != np.int8 or ridge.shape != expected[1:]):
            raise ModelFailedError(f"the model answered ridges {ridge.dtype} {ridge.shape}, not int8 {expected[1:]}")
        return cls(meta, probabilities, ridge)


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    entry = archive.getinfo(f"{name}.npy")
    if entry.file_size > _MAX_ARRAY_BYTES:
        raise ValueError(f"{name} has {entry.file_size} bytes, more than {_MAX_ARRAY_BYTES}")
    with archive.open(entry) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def parse_landmarks(data: bytes) -> LandmarkPrediction:
    """Read a landmarks answer.

    Raises:
        ModelFailedError: If the bytes are no landmarks answer.
    """
    try:
        return LandmarkPrediction.model_validate(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise ModelFailedError(f"the model's answer holds no landmarks: {error}") from error
