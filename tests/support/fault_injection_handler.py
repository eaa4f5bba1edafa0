"""TorchServe handler of a canary with injected faults. The file `mode` selects the fault while it serves.

Modes: good, error (status 500), exception (raised by the handler), rejection (status 422), invalid_bytes,
wrong_classes (other classes than the card's), hang (until the mode changes).
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from thale.models.predictions import SegmentationPrediction
from thale_models.handlers import request, segment


class FaultInjectionHandler(segment.SegmentHandler):
    """Segmentation handler that returns predictions or the selected fault."""

    def handle(self, data: Sequence[Mapping[str, object]], context: request.Context) -> list[bytes]:
        """Process a batch of one image."""
        while (mode := mode_file(Path(os.environ["TMPDIR"]).parent).read_text()) == "hang":
            time.sleep(0.02)
        if mode == "exception":
            raise RuntimeError("injected fault")
        if mode in ("error", "rejection"):
            context.set_response_status(code={"error": 500, "rejection": 422}[mode], phrase="injected fault", idx=0)
            return [b'{"code": "damaged-image", "message": "injected fault"}']
        if mode == "invalid_bytes":
            return [b"PK garbage"]
        responses = super().handle(data, context)
        if mode == "wrong_classes":
            prediction = SegmentationPrediction.from_bytes(responses[0])
            classes = ("background", "root", "root", "root")
            return [replace(prediction, meta=prediction.meta.model_copy(update={"classes": classes})).to_bytes()]
        return responses


def mode_file(home: Path) -> Path:
    return home / "mode"
