"""TorchServe's entry point for a version on trial whose mood a test sets while it serves: it stands in the file `mood`.

good | fails | throws | refuses | garbage | strange (other classes than its card's) | waits (until the mood changes)
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from thale.models.predictions import SegmentationAnswer
from thale_models.handlers import request, segment


class MoodyHandler(segment.SegmentHandler):
    """Segments images, or does not."""

    def handle(self, data: Sequence[Mapping[str, object]], context: request.Context) -> list[bytes]:
        """Answer a batch of one."""
        while (mood := mood_file(Path(os.environ["TMPDIR"]).parent).read_text()) == "waits":
            time.sleep(0.02)
        if mood == "throws":
            raise RuntimeError("in no mood")
        if mood in ("fails", "refuses"):
            context.set_response_status(code={"fails": 500, "refuses": 422}[mood], phrase="no", idx=0)
            return [b'{"code": "damaged-image", "message": "I do not like it"}']
        if mood == "garbage":
            return [b"PK garbage"]
        answers = super().handle(data, context)
        if mood == "strange":
            answer = SegmentationAnswer.from_bytes(answers[0])
            classes = ("background", "root", "root", "root")
            return [replace(answer, meta=answer.meta.model_copy(update={"classes": classes})).to_bytes()]
        return answers


def mood_file(home: Path) -> Path:
    return home / "mood"
