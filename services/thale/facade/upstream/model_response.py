"""What a model version answered: as received until a measuring process reads it, then held against the release record.

A worker knows its weights' digest, not its archive's. Which archive was released with those weights is what the record
says, so the facade writes the archive's digest into the answer, once it is sure that it is about the same model.
What cannot be an answer to the question is told as the fault of the version that gave it.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from thale.errors import InvalidModelResponseError, ModelFailedError
from thale.facade.upstream.routing import Route
from thale.models.predictions import LandmarkPrediction, SegmentationPrediction, parse_landmarks
from thale.schemas import Calibration, ModelRef, Point

_EDGE_TOLERANCE_PX = 2.0
"""A landmark's peak is interpolated: at the image's edge it may come to lie this far outside."""


@dataclass(frozen=True)
class ModelResponse:
    """An answer as it came from a worker, who was asked, how long it took, and the size of the image in question."""

    route: Route
    data: bytes
    seconds: float
    width: int
    height: int
    stages: Mapping[str, float] = field(default_factory=dict)
    """Seconds that the worker says it took for each step, and `queue`: how long it had something else to do."""
    batch_images: int | None = None
    """How many images it answered at once, where it says so."""

    def parse_segmentation(self) -> SegmentationPrediction:
        """Read a segmentation model's answer.

        Raises:
            InvalidModelResponseError: If it is no segmentation of this image, or another model's.
        """
        with self._as_invalid_response():
            prediction = SegmentationPrediction.from_bytes(self.data)
            meta = prediction.meta
            model = self._check_identity(meta.model)
            if meta.classes != self.route.classes:
                raise ModelFailedError(f"its classes are {meta.classes}, its card says {self.route.classes}")
            frame = meta.frame
            right, bottom = frame.x0 + frame.source_width, frame.y0 + frame.source_height
            if min(frame.x0, frame.y0) < 0 or right > self.width or bottom > self.height:
                raise ModelFailedError(f"its frame {frame} reaches beyond the image's {self.width} x {self.height} px")
            _check_calibration(meta.calibration)
        return replace(prediction, meta=meta.model_copy(update={"model": model}))

    def parse_landmarks(self) -> LandmarkPrediction:
        """Read a landmark model's answer.

        Raises:
            InvalidModelResponseError: If it holds no landmarks of this image, or is another model's.
        """
        with self._as_invalid_response():
            prediction = parse_landmarks(self.data)
            model = self._check_identity(prediction.model)
            for landmark in prediction.landmarks:
                if landmark.kind not in self.route.classes:
                    raise ModelFailedError(f"it marks a {landmark.kind}, its card says {self.route.classes}")
                if not self._contains(landmark.x, landmark.y):
                    raise ModelFailedError(
                        f"its {landmark.kind} at ({landmark.x}, {landmark.y}) lies outside the image's "
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
        """Whether the image holds a point; no NaN is held."""
        return (
            -_EDGE_TOLERANCE_PX <= x <= self.width - 1 + _EDGE_TOLERANCE_PX
            and -_EDGE_TOLERANCE_PX <= y <= self.height - 1 + _EDGE_TOLERANCE_PX
        )

    def _check_identity(self, model: ModelRef) -> ModelRef:
        route = self.route
        if (model.name, model.version, model.digest) != (route.name, route.version, route.weights_digest):
            raise ModelFailedError(
                f"{route.name} {route.version} was asked, and {model.name} {model.version} with the weights "
                f"{model.digest} answered: the model server's store and the release record disagree"
            )
        return model.model_copy(update={"digest": route.digest})


def _check_calibration(calibration: Calibration) -> None:
    scale = calibration.scale
    if scale.is_known and not (math.isfinite(scale.mm_per_px) and scale.mm_per_px > 0):
        raise ModelFailedError(f"its scale is {scale.mm_per_px} mm per pixel")
    corners: tuple[Point, ...] = calibration.plate.corners if calibration.plate else ()
    if not all(math.isfinite(corner.x) and math.isfinite(corner.y) for corner in corners):
        raise ModelFailedError(f"its plate's corners are {corners}")
