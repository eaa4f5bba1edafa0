"""Errors of a model that cannot return a prediction, or that cannot be trained or read."""

from thale.errors.thale_error import ThaleError


class ModelError(ThaleError):
    """A model cannot return a prediction."""

    code = "model"


class UnknownModelError(ModelError):
    """No model has this name. GET /v1/models lists the models."""

    code = "unknown-model"

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"unknown model {name!r}: the known models are {', '.join(sorted(known)) or 'none'}")
        self.name, self.known = name, known


class UnknownVersionError(ModelError):
    """The model has no such version. GET /v1/models lists the versions."""

    code = "unknown-version"

    def __init__(self, name: str, version: str, known: list[str]) -> None:
        super().__init__(
            f"model {name!r} has no version {version!r}: the known versions are {', '.join(known) or 'none'}"
        )
        self.name, self.version, self.known = name, version, known


class WrongTaskError(ModelError):
    """The model has another task than the one that the request needs."""

    code = "wrong-task"


class ModelUnavailableError(ModelError):
    """No worker of the model is available. Retry after the seconds of the Retry-After header."""

    code = "model-unavailable"


class ModelStartingError(ModelUnavailableError):
    """The model is scaled to zero, and a replica is starting. Retry after the seconds of the Retry-After header."""

    code = "model-starting"

    retry_after_s: int = 30

    def __init__(self, name: str, version: str, waited_s: float) -> None:
        super().__init__(
            f"{name} {version} is scaled to zero; a replica is starting, and was not ready after {waited_s:.0f} s: "
            f"retry in {self.retry_after_s} s, for up to 15 minutes if a node must be added"
        )


class ModelFailedError(ModelError):
    """The model's worker failed, or its response does not match the model card."""

    code = "model-failed"


class InvalidModelResponseError(ModelFailedError):
    """The model version with this `name` and `version` returned an invalid response."""

    code = "invalid-model-response"

    def __init__(self, name: str, version: str, reason: str) -> None:
        super().__init__(f"{name} {version} returned an invalid response: {reason}")
        self.name, self.version = name, version


class DeadlineExceededError(ModelError):
    """The deadline passed before the response was complete."""

    code = "deadline-exceeded"


class ArchiveError(ThaleError):
    """A model archive or a model card is invalid."""

    code = "archive"


class DeviceError(ThaleError):
    """The inference engine cannot run on the configured device."""

    code = "device"


class AnnotationError(ThaleError):
    """An annotation file cannot be read."""

    code = "annotation"


class DatasetError(ThaleError):
    """A folder of training data has problems. `problems` lists all of them, one line each."""

    code = "dataset"

    def __init__(self, folder: str, problems: list[str]) -> None:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{folder} is not valid training data ({count}):\n{listed}")
        self.folder, self.problems = folder, problems


class TrainingError(ThaleError):
    """A training run cannot start or continue."""

    code = "training"
