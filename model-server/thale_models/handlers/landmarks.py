"""TorchServe's entry point for landmark models: image bytes in, landmarks (JSON) out.

TorchServe uses the only class of this module. A second class, or a function named `handle`, would break this.
"""

from collections.abc import Mapping, Sequence

from thale.models.predictions import LANDMARKS_MEDIA_TYPE
from thale.telemetry.step_timing import step
from thale_models.handlers import request
from thale_models.inference import find_landmarks


class LandmarksHandler:
    """Returns a `LandmarkPrediction` for each image of a batch."""

    def initialize(self, context: request.Context) -> None:
        """Load the model. TorchServe calls this once per worker start."""
        self.card, self.engine = request.load_model(context, "landmarks")

    def handle(self, data: Sequence[Mapping[str, object]], context: request.Context) -> list[bytes]:
        """Return a response for each image of a batch."""
        return request.handle_batch(data, context, self._predict)

    def _predict(self, item: request.DecodedRequest) -> request.HandlerResponse:
        prediction = find_landmarks(item.image_HW3, self.card, self.engine, item.calibration)
        with step("encode"):
            return prediction.model_dump_json().encode(), LANDMARKS_MEDIA_TYPE
