"""Response of a model version: raw bytes until post-processing parses and validates them against the release state.

A worker sends the digest of its weights, because it has none of its archive. The release state has both. The facade
verifies the digest of the weights, and replaces it in the prediction by the digest of the archive. An invalid response
is raised as an error that names the version.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from thale.errors import InvalidModelResponseError, ModelFailedError
from thale.facade.upstream.routing import Route
from thale.models.predictions import LandmarkPrediction, SegmentationPrediction, parse_landmarks
from thale.schemas import Calibration, ModelRef, Point

_EDGE_TOLERANCE_PX = 2.0
"""A landmark's position is interpolated. At the image's edge it may be up to this far outside."""


@dataclass(frozen=True)
class ModelResponse:
    """A worker's response as received, with its route, its duration, and the size of the image."""

    route: Route
    data: bytes
    seconds: float
    width: int
    height: int
    stages: Mapping[str, float] = field(default_factory=dict)
    """Seconds of each step of the worker, and `queue` for the remaining time."""
    batch_images: int | None = None
    """Number of images in the worker's batch, if the worker sends it."""

    def count_plates(self) -> int:
        """Return the number of plates that a landmark response lists, at least 1.

        A response that cannot be parsed has one plate. Post-processing raises its error.
        """
        try:
            return max(1, len(json.loads(self.data)["calibration"]["plates"]))
        except (ValueError, LookupError, TypeError, RecursionError):
            return 1

    def parse_segmentation(self) -> SegmentationPrediction:
        """Parse the response of a segmentation model.

        Raises:
            InvalidModelResponseError: If it is not a segmentation of this image by this version.
        """
        with self._as_invalid_response():
            prediction = SegmentationPrediction.from_bytes(self.data)
            meta = prediction.meta
            model = self._check_identity(meta.model)
            if meta.classes != self.route.classes:
                raise ModelFailedError(f"its classes are {meta.classes}, but its card has {self.route.classes}")
            frame = meta.frame
            right, bottom = frame.x0 + frame.source_width, frame.y0 + frame.source_height
            if min(frame.x0, frame.y0) < 0 or right > self.width or bottom > self.height:
                raise ModelFailedError(f"its frame {frame} exceeds the image of {self.width} x {self.height} px")
            _check_calibration(meta.calibration)
        return replace(prediction, meta=meta.model_copy(update={"model": model}))

    def parse_landmarks(self) -> LandmarkPrediction:
        """Parse the response of a landmark model.

        Raises:
            InvalidModelResponseError: If it is not a landmark prediction for this image by this version.
        """
        with self._as_invalid_response():
            prediction = parse_landmarks(self.data)
            model = self._check_identity(prediction.model)
            for landmark in prediction.landmarks:
                if landmark.kind not in self.route.classes:
                    raise ModelFailedError(f"it has a {landmark.kind}, but its card has {self.route.classes}")
                if not self._contains(landmark.x, landmark.y):
                    raise ModelFailedError(
                        f"its {landmark.kind} at ({landmark.x}, {landmark.y}) is outside the image of "
                        f"{self.width} x {self.height} px"
                    )
            _check_calibration(prediction.calibration)
        return prediction.model_copy(update={"model": model})

    @contextmanager
    def _as_invalid_response(self) -> Iterator[None]:
        try:
            yield
        except ModelFailedError as error:
            raise InvalidModelResponseError(self.route.name, self.route.version, str(error)) from error

    def _contains(self, x: float, y: float) -> bool:
        """Return True if the point is inside the image. False for NaN."""
        return (
            -_EDGE_TOLERANCE_PX <= x <= self.width - 1 + _EDGE_TOLERANCE_PX
            and -_EDGE_TOLERANCE_PX <= y <= self.height - 1 + _EDGE_TOLERANCE_PX
        )

    def _check_identity(self, model: ModelRef) -> ModelRef:
        route = self.route
        if (model.name, model.version, model.digest) != (route.name, route.version, route.weights_digest):
            raise ModelFailedError(
                f"the request was for {route.name} {route.version}, but {model.name} {model.version} with the weights "
                f"{model.digest} responded: the model server's store does not match the release state"
            )
        return model.model_copy(update={"digest": route.digest})


def _check_calibration(calibration: Calibration) -> None:
    scale = calibration.scale
    if scale.is_known and not (math.isfinite(scale.mm_per_px) and scale.mm_per_px > 0):
        raise ModelFailedError(f"its scale is {scale.mm_per_px} mm per pixel")
    plates = (*((calibration.plate,) if calibration.plate else ()), *calibration.plates)
    corners: tuple[Point, ...] = tuple(corner for plate in plates for corner in plate.corners)
    if not all(math.isfinite(corner.x) and math.isfinite(corner.y) for corner in corners):
        raise ModelFailedError(f"its plate's corners are {corners}")
