"""TorchServe's entry point for landmark models: image bytes in, landmarks (JSON) out.

TorchServe takes the one class of this module; a second class, or a function called `handle`, would confuse it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from thale.models.predictions import LANDMARKS_MEDIA_TYPE
from thale.schemas import Calibration
from thale.telemetry.step_timing import step
from thale_models.handlers import request
from thale_models.inference import find_landmarks


class LandmarksHandler:
    """Answers each image of a batch with a `LandmarkPrediction`."""

    def initialize(self, context: request.Context) -> None:
        """Load the model. Called once, when the worker starts."""
        self.card, self.engine = request.load_model(context, "landmarks")

    def handle(self, data: Sequence[Mapping[str, object]], context: request.Context) -> list[bytes]:
        """Answer a batch."""
        return request.handle_batch(data, context, self._predict)

    def _predict(self, image_HW3: NDArray[np.uint8], calibration: Calibration) -> request.HandlerResponse:
        prediction = find_landmarks(image_HW3, self.card, self.engine, calibration)
        with step("encode"):
            return prediction.model_dump_json().encode(), LANDMARKS_MEDIA_TYPE
