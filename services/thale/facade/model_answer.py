"""What a model version answered: as received until a measuring process reads it, then held against the release record.

A worker knows its weights' digest, not its archive's. Which archive was released with those weights is what the record
says, so the facade writes the archive's digest into the answer, once it is sure that it is about the same model.
"""

from dataclasses import dataclass, replace

from thale.answers import LandmarksAnswer, SegmentationAnswer, read_landmarks
from thale.contract import ModelRef
from thale.errors import ModelFailedError
from thale.facade.traffic import Choice


@dataclass(frozen=True)
class Answer:
    """An answer as it came from a worker, who was asked, and how long it took."""

    choice: Choice
    data: bytes
    seconds: float

    def segmentation(self) -> SegmentationAnswer:
        """Read a segmentation model's answer.

        Raises:
            ModelFailedError: If it is no segmentation, or another model's.
        """
        answer = SegmentationAnswer.from_bytes(self.data)
        model = self._as_released(answer.meta.model)
        return replace(answer, meta=answer.meta.model_copy(update={"model": model}))

    def landmarks(self) -> LandmarksAnswer:
        """Read a landmark model's answer.

        Raises:
            ModelFailedError: If it holds no landmarks, or is another model's.
        """
        answer = read_landmarks(self.data)
        return answer.model_copy(update={"model": self._as_released(answer.model)})

    def _as_released(self, told: ModelRef) -> ModelRef:
        asked = self.choice
        if (told.name, told.version, told.digest) != (asked.name, asked.version, asked.weights_digest):
            raise ModelFailedError(
                f"{asked.name} {asked.version} was asked, and {told.name} {told.version} with the weights "
                f"{told.digest} answered: the model server's store and the release record disagree"
            )
        return told.model_copy(update={"digest": asked.digest})
