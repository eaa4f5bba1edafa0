"""TorchServe handler of a canary with injected faults. The file `mode` selects the fault while it serves.

good | fails | throws | refuses | garbage | strange (other classes than its card's) | waits (until the mode changes)
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from thale.models.predictions import SegmentationPrediction
from thale_models.handlers import request, segment


class FaultInjectionHandler(segment.SegmentHandler):
    """Segments images, or does not."""

    def handle(self, data: Sequence[Mapping[str, object]], context: request.Context) -> list[bytes]:
        """Answer a batch of one."""
        while (mode := mode_file(Path(os.environ["TMPDIR"]).parent).read_text()) == "waits":
            time.sleep(0.02)
        if mode == "throws":
            raise RuntimeError("in no mood")
        if mode in ("fails", "refuses"):
            context.set_response_status(code={"fails": 500, "refuses": 422}[mode], phrase="no", idx=0)
            return [b'{"code": "damaged-image", "message": "I do not like it"}']
        if mode == "garbage":
            return [b"PK garbage"]
        responses = super().handle(data, context)
        if mode == "strange":
            prediction = SegmentationPrediction.from_bytes(responses[0])
            classes = ("background", "root", "root", "root")
            return [replace(prediction, meta=prediction.meta.model_copy(update={"classes": classes})).to_bytes()]
        return responses


def mode_file(home: Path) -> Path:
    return home / "mode"
