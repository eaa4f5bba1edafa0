"""Every error that thale raises on purpose. None of them knows HTTP: see facade/api/problems.py.

ThaleError
├── ImageError                    what was sent cannot be measured
│   ├── EmptyImageError           no bytes at all
│   ├── UnsupportedImageError     not a JPEG, PNG or TIFF, or a kind of one that cannot be read
│   ├── DamagedImageError         truncated or corrupt
│   ├── ImageTooSmallError        fewer pixels than a seedling needs
│   ├── ImageTooLargeError        more bytes or pixels than the limits allow
│   └── MultiPageImageError       several pages and no choice among them
├── ScaleError                    a scale that cannot be true
├── ParameterError                a parameter that is not understood
├── RequestError                  a request that cannot be taken
│   ├── UnsupportedContentTypeError            a body of a kind that holds no image
│   ├── NotAcceptableError        no answer in a format that the client takes
│   ├── UploadTimeoutError          the body does not arrive
│   └── OverloadedError                 too many requests at once
├── ModelError
│   ├── UnknownModelError         no such model
│   ├── UnknownVersionError       the model exists, the version does not
│   ├── WrongTaskError            the model exists, but answers another question
│   ├── ModelUnavailableError     no worker answers
│   ├── ModelFailedError          a worker answered with a failure
│   │   └── InvalidModelResponseError    a worker answered what cannot be an answer
│   └── DeadlineExceededError     the answer would come too late
├── ArchiveError                  a model archive or card that cannot be used
├── AnnotationError               an annotation file that cannot be read
├── DatasetError                  a folder of training data with something wrong in it
├── TrainingError                 a training run that cannot start or go on
├── ReleaseError                  a rollout that cannot go on
│   ├── InvalidTransitionError                 a change that makes no sense now
│   ├── ConflictError             somebody else changed the release in between
│   ├── RegistrationError         an archive that must not be released
│   ├── VersionExistsError         the version is in the store with other bytes
│   ├── StoreError                the model store does not take or give
│   └── TargetError             a version that cannot be brought to serve
├── SecretError                   a secret, or the place where secrets are, that cannot be read
├── ServerError                   a server that does not answer as thale does
│   ├── ServerUnreachableError    nobody answers
│   └── UnexpectedResponseError     somebody answers, but not as the contract says
└── LocalPlatformError                   the local platform cannot start
"""

from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from pydantic import ValidationError


class ThaleError(Exception):
    """Base of every error that thale raises on purpose. The message says what to do.

    `request_id` is set where the error came out of a server: its logs know the request by it.
    """

    code: ClassVar[str] = "thale"
    """Stable identifier on the wire: in `/problems/{code}`, in metrics and in a model worker's error body."""

    request_id: str | None = None

    @classmethod
    def from_message(cls, message: str) -> Self:
        """Return an error that another process raised: its words are known, its arguments are not."""
        error = cls.__new__(cls)
        error.args = (message,)
        return error


def error_class(code: str) -> type[ThaleError] | None:
    """Return the error class of that stable name, None where there is none."""
    pending = [ThaleError]
    while pending:
        candidate = pending.pop()
        if candidate.code == code:
            return candidate
        pending += candidate.__subclasses__()
    return None


def describe_validation_error(error: "ValidationError") -> str:
    """Return the location and message of each invalid field, without the invalid values."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    described = []
    for detail in details:
        location = ".".join(map(str, detail["loc"]))
        message = detail["msg"].removeprefix("Value error, ")
        described.append(f"{location}: {message}" if location else message)
    return "; ".join(described)


def describe_settings_error(error: "ValidationError") -> str:
    """Return one line for each invalid `THALE_*` environment variable."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    names = ("_".join(("thale", *map(str, detail["loc"]))).upper() for detail in details)
    return "".join(f"{name}: {detail['msg']}\n" for name, detail in zip(names, details, strict=True))


class ImageError(ThaleError):
    """What was sent cannot be measured."""

    code = "image"


class EmptyImageError(ImageError):
    """The body holds no bytes."""

    code = "empty-image"

    def __init__(self) -> None:
        super().__init__("the body is empty: send the bytes of a JPEG, PNG or TIFF image")


class UnsupportedImageError(ImageError):
    """The bytes are no image of a supported kind."""

    code = "unsupported-image"


class DamagedImageError(ImageError):
    """The image begins well and cannot be read to its end."""

    code = "damaged-image"


class ImageTooSmallError(ImageError):
    """The image has fewer pixels than a seedling needs."""

    code = "image-too-small"

    def __init__(self, width: int, height: int, min_side_px: int) -> None:
        super().__init__(
            f"the image is {width} x {height} px: at least {min_side_px} x {min_side_px} px are needed to see a root"
        )
        self.width, self.height, self.min_side_px = width, height, min_side_px


class ImageTooLargeError(ImageError):
    """The image has more bytes or pixels than the limits allow."""

    code = "image-too-large"


class MultiPageImageError(ImageError):
    """A TIFF of several pages was sent without saying which one is meant."""

    code = "multi-page-image"

    def __init__(self, pages: int) -> None:
        super().__init__(
            f"the TIFF has {pages} pages: say which one to measure with page=0 … page={pages - 1}, "
            "or send one page a file"
        )
        self.pages = pages


class ScaleError(ThaleError):
    """A scale was given that no plate photograph can have."""

    code = "scale"


class ParameterError(ThaleError):
    """A parameter that is not understood."""

    code = "parameter"


class RequestError(ThaleError):
    """A request cannot be taken."""

    code = "request"


class UnsupportedContentTypeError(RequestError):
    """The body is of a kind that holds no image."""

    code = "unsupported-content-type"


class NotAcceptableError(RequestError):
    """There is no answer in any format that the client takes."""

    code = "not-acceptable"

    def __init__(self, offered: list[str]) -> None:
        super().__init__(f"ask for one of these in the Accept header: {', '.join(offered)}")
        self.offered = offered


class UploadTimeoutError(RequestError):
    """The body stalls, or takes longer to arrive than any upload may."""

    code = "upload-timeout"


class OverloadedError(RequestError):
    """So many requests wait already that one more would wait in vain."""

    code = "overloaded"

    retry_after_s: int | None = None

    def __init__(self, in_progress: int, retry_after_s: int) -> None:
        super().__init__(f"{in_progress} requests are in progress: try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class ModelError(ThaleError):
    """A model cannot answer."""

    code = "model"


class UnknownModelError(ModelError):
    """No model of that name is served."""

    code = "unknown-model"

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"no model is called {name!r}: the models here are {', '.join(sorted(known)) or 'none'}")
        self.name, self.known = name, known


class UnknownVersionError(ModelError):
    """The model is served, but not in that version."""

    code = "unknown-version"

    def __init__(self, name: str, version: str, known: list[str]) -> None:
        super().__init__(
            f"model {name!r} has no version {version!r}: the versions here are {', '.join(known) or 'none'}"
        )
        self.name, self.version, self.known = name, version, known


class WrongTaskError(ModelError):
    """The model answers another question than the one asked."""

    code = "wrong-task"


class ModelUnavailableError(ModelError):
    """No worker of the model answers just now."""

    code = "model-unavailable"


class ModelFailedError(ModelError):
    """The model's worker failed, or answered what its card does not promise."""

    code = "model-failed"


class InvalidModelResponseError(ModelFailedError):
    """A model version answered what cannot be an answer to the question; `name` and `version` say which one."""

    code = "invalid-model-response"

    def __init__(self, name: str, version: str, reason: str) -> None:
        super().__init__(f"{name} {version} answered nonsense: {reason}")
        self.name, self.version = name, version


class DeadlineExceededError(ModelError):
    """The deadline passed before the answer was there."""

    code = "deadline-exceeded"


class ArchiveError(ThaleError):
    """A model archive or a model card that cannot be used."""

    code = "archive"


class AnnotationError(ThaleError):
    """An annotation file that cannot be read."""

    code = "annotation"


class DatasetError(ThaleError):
    """A folder of training data has something wrong in it. `problems` names all of it, one line each."""

    code = "dataset"

    def __init__(self, folder: str, problems: list[str]) -> None:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{folder} cannot be trained on, {count}:\n{listed}")
        self.folder, self.problems = folder, problems


class TrainingError(ThaleError):
    """A training run cannot start or go on."""

    code = "training"


class ReleaseError(ThaleError):
    """A rollout cannot go on."""

    code = "release"


class InvalidTransitionError(ReleaseError):
    """A change makes no sense as the release stands now."""

    code = "invalid-transition"


class ConflictError(ReleaseError):
    """Somebody else changed the release in between: read it again."""

    code = "conflict"


class RegistrationError(ReleaseError):
    """An archive must not be released."""

    code = "registration"


class VersionExistsError(ReleaseError):
    """The store holds the version with other bytes. Versions are never rewritten."""

    code = "version-exists"


class StoreError(ReleaseError):
    """The model store does not take or give an archive."""

    code = "store"


class TargetError(ReleaseError):
    """A version cannot be brought to serve, or not be taken off."""

    code = "target"


class SecretError(ThaleError):
    """A secret, or the place where secrets are kept, cannot be read. The message never holds a value."""

    code = "secret"


class ServerError(ThaleError):
    """A server does not answer as thale does."""

    code = "server"


class ServerUnreachableError(ServerError):
    """Nobody answers at the server's address."""

    code = "server-unreachable"


class UnexpectedResponseError(ServerError):
    """Somebody answers at the server's address, but not as the contract says."""

    code = "unexpected-response"


class LocalPlatformError(ThaleError):
    """The local platform cannot start or stay up."""

    code = "local-platform"
