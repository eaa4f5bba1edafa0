"""TorchServe handler of a stub landmark model for tiny plates: root bases at upper ends, tips at lower ends."""

import numpy as np
from scipy.ndimage import find_objects, label

from thale.models.predictions import LANDMARKS_MEDIA_TYPE
from thale.schemas import Landmark
from thale_models.handlers import landmarks, request
from thale_models.inference import find_landmarks


class StubLandmarker(landmarks.LandmarksHandler):
    """Returns the ends of bright strokes as landmarks."""

    def _predict(self, item: request.DecodedRequest) -> request.HandlerResponse:
        image_HW3 = item.image_HW3
        prediction = find_landmarks(image_HW3, self.card, self.engine, item.calibration)
        strokes, _ = label(image_HW3.min(axis=2) > 150, np.ones((3, 3)))
        found = []
        for number, (rows, _) in enumerate(find_objects(strokes), 1):
            for kind, row in (("root_base", rows.start), ("primary_tip", rows.stop - 1)):
                column = float(np.flatnonzero(strokes[row] == number).mean())
                found.append(Landmark.model_validate({"kind": kind, "x": column, "y": row, "score": 0.9}))
        stub = prediction.model_copy(update={"landmarks": tuple(found)})
        return stub.model_dump_json().encode(), LANDMARKS_MEDIA_TYPE
