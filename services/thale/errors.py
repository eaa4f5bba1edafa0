"""Every error that thale raises on purpose. The HTTP status of each class is in `thale.facade.api.problems`.

ThaleError
├── ImageError                          an image that cannot be measured
│   ├── EmptyImageError                 a request body without bytes
│   ├── UnsupportedImageError           not a JPEG, PNG or TIFF, or an unsupported variant of one
│   ├── DamagedImageError               truncated or corrupt
│   ├── ImageTooSmallError              fewer pixels than a seedling needs
│   ├── ImageTooLargeError              more bytes or pixels than the limits allow
│   └── MultiPageImageError             a TIFF with several pages and no page parameter
├── ScaleError                          an implausible scale
├── ParameterError                      an invalid parameter
├── RequestError                        a request that cannot be accepted
│   ├── UnsupportedContentTypeError     a content type that is not an image
│   ├── UnsupportedContentEncodingError a compressed request body
│   ├── MalformedRequestError           a request that violates the syntax of its protocol
│   ├── NotAcceptableError              no response format matches the Accept header
│   ├── IdempotencyKeyReusedError       an idempotency key of another request
│   ├── IdempotencyKeyInUseError        the first request with this idempotency key is in progress
│   ├── UploadTimeoutError              the request body stalls or arrives too slowly
│   └── OverloadedError                 admission control rejects the request
├── ModelError                          a model that cannot return a prediction
│   ├── UnknownModelError               no model has that name
│   ├── UnknownVersionError             the model exists, the version does not
│   ├── WrongTaskError                  the model exists, but has another task
│   ├── ModelUnavailableError           no worker of the model is available
│   ├── ModelFailedError                a worker returned an error
│   │   └── InvalidModelResponseError   a worker returned an invalid response
│   └── DeadlineExceededError           the deadline passed before the response
├── ArchiveError                        an invalid model archive or model card
├── AnnotationError                     an annotation file that cannot be read
├── DatasetError                        a folder of training data with problems
├── TrainingError                       a training run that cannot start or continue
├── ReleaseError                        a release that cannot change
│   ├── InvalidTransitionError          a change that the current release does not allow
│   ├── ConflictError                   a concurrent change of the same release
│   ├── RegistrationError               an archive that fails the acceptance checks
│   ├── VersionExistsError              a registered version with other bytes
│   ├── StoreError                      a model store that cannot be read or written
│   │   └── SignatureError              an archive with another digest, or without a valid signature
│   └── TargetError                     a release target that cannot apply or read a release
├── SecretError                         a secret or a secret store that cannot be read
├── ServerError                         a server that does not respond as documented
│   ├── ServerUnreachableError          no response from the server
│   └── UnexpectedResponseError         a response that is not thale's
├── FileAccessError                     a file or folder that cannot be read or written
└── LocalPlatformError                  the local platform cannot start or stay up
"""

from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from pydantic import ValidationError


class ThaleError(Exception):
    """Base class of every error that thale raises on purpose.

    The message states the failure, its cause and the remedy. A client sets `request_id` on an error from a server. The
    server's logs contain the same id.
    """

    code: ClassVar[str] = "thale"
    """Stable identifier on the wire: in `/problems/{code}`, in metrics and in a model worker's error body."""

    request_id: str | None = None

    @classmethod
    def from_message(cls, message: str) -> Self:
        """Return an error from the message of another process, without the arguments of the constructor."""
        error = cls.__new__(cls)
        error.args = (message,)
        return error


def error_class(code: str) -> type[ThaleError] | None:
    """Return the error class with a code, or None."""
    pending = [ThaleError]
    while pending:
        candidate = pending.pop()
        if candidate.code == code:
            return candidate
        pending += candidate.__subclasses__()
    return None


_MAX_DESCRIBED = 8
_MAX_LOCATION_LENGTH = 100


def describe_validation_error(error: "ValidationError") -> str:
    """Return the location and message of the first invalid fields, without the invalid values.

    A client chooses the number of invalid fields and their names, so both are cut.
    """
    details = error.errors(include_url=False, include_context=False, include_input=False)
    described = []
    for detail in details[:_MAX_DESCRIBED]:
        location = ascii(".".join(map(str, detail["loc"])))[1:-1]  # keys of the input may contain control characters
        location = location[:_MAX_LOCATION_LENGTH]
        message = detail["msg"].removeprefix("Value error, ")
        described.append(f"{location}: {message}" if location else message)
    if len(details) > _MAX_DESCRIBED:
        described.append(f"and {len(details) - _MAX_DESCRIBED} more")
    return "; ".join(described)


def describe_settings_error(error: "ValidationError") -> str:
    """Return one line for each invalid `THALE_*` environment variable, or for a conflict between several."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    names = ("_".join(("thale", *map(str, detail["loc"]))).upper() for detail in details)
    messages = (detail["msg"].removeprefix("Value error, ") for detail in details)
    return "".join(f"{name}: {message}\n" for name, message in zip(names, messages, strict=True))


class ImageError(ThaleError):
    """The image cannot be measured."""

    code = "image"


class EmptyImageError(ImageError):
    """The request body is empty. Send the bytes of a JPEG, PNG or TIFF image."""

    code = "empty-image"

    def __init__(self) -> None:
        super().__init__("the request body is empty: send the bytes of a JPEG, PNG or TIFF image")


class UnsupportedImageError(ImageError):
    """The file is not a JPEG, PNG or TIFF image, or it is a variant that thale cannot decode."""

    code = "unsupported-image"


class DamagedImageError(ImageError):
    """The image is truncated or corrupt. Its header is valid, but its pixels cannot be decoded."""

    code = "damaged-image"


class ImageTooSmallError(ImageError):
    """The image has fewer pixels than the measurement of a seedling needs."""

    code = "image-too-small"

    def __init__(self, width: int, height: int, min_side_px: int) -> None:
        super().__init__(
            f"the image is {width} x {height} px: send an image of at least {min_side_px} x {min_side_px} px"
        )
        self.width, self.height, self.min_side_px = width, height, min_side_px


class ImageTooLargeError(ImageError):
    """The image has more bytes or pixels than the limits allow."""

    code = "image-too-large"


class MultiPageImageError(ImageError):
    """The TIFF has several pages, and the request does not select one. Select it with the parameter `page`."""

    code = "multi-page-image"

    def __init__(self, pages: int) -> None:
        super().__init__(
            f"the TIFF has {pages} pages: select one with page=0 … page={pages - 1}, "
            "or send each page as a separate file"
        )
        self.pages = pages


class ScaleError(ThaleError):
    """The scale is outside the range that is possible for a photograph of plants."""

    code = "scale"


class ParameterError(ThaleError):
    """A parameter is unknown or has an invalid value."""

    code = "parameter"


class RequestError(ThaleError):
    """The server cannot accept the request."""

    code = "request"


class UnsupportedContentTypeError(RequestError):
    """The Content-Type of the request body is not an image type."""

    code = "unsupported-content-type"


class UnsupportedContentEncodingError(RequestError):
    """The request body is compressed. Send it without a Content-Encoding."""

    code = "unsupported-content-encoding"


class MalformedRequestError(RequestError):
    """The request violates the syntax of its protocol: a header that is not a number, for example."""

    code = "malformed-request"


class NotAcceptableError(RequestError):
    """No response format of this path matches the Accept header."""

    code = "not-acceptable"

    def __init__(self, offered: list[str]) -> None:
        super().__init__(f"no response format matches the Accept header: request one of {', '.join(offered)}")
        self.offered = offered


class UnauthenticatedError(RequestError):
    """The request has no valid credential. Send an API key, or a token of Entra ID, as `Authorization: Bearer …`."""

    code = "unauthenticated"

    def __init__(self, message: str, reason: str = "invalid") -> None:
        super().__init__(message)
        self.reason = reason


class AuthenticationUnavailableError(RequestError):
    """The server cannot verify credentials at present. Retry after the seconds of the Retry-After header."""

    code = "authentication-unavailable"


class ForbiddenError(RequestError):
    """The caller is known, but it lacks the scope that this request needs, or the request comes from a foreign page."""

    code = "forbidden"

    scope: str | None = None

    def __init__(self, message: str, scope: str | None = None) -> None:
        super().__init__(message)
        self.scope = scope


class RateLimitedError(RequestError):
    """The caller exceeds its rate, its concurrency or its daily budget. Retry after the seconds of Retry-After."""

    code = "rate-limited"

    retry_after_s: int | None = None

    def __init__(self, limit: str, retry_after_s: int) -> None:
        super().__init__(f"the caller's limit is reached ({limit}): retry in {retry_after_s} s")
        self.limit, self.retry_after_s = limit, retry_after_s


class IdempotencyKeyReusedError(RequestError):
    """The idempotency key belongs to another request of this caller. Use a new key for each request.

    A retry has the same method, path, query, Accept, Content-Type and body as the first request.
    """

    code = "idempotency-key-reused"

    def __init__(self) -> None:
        super().__init__("the Idempotency-Key belongs to a request with other content: use a new key for each request")


class IdempotencyKeyInUseError(RequestError):
    """The first request with this idempotency key is still in progress. Retry after the seconds of Retry-After."""

    code = "idempotency-key-in-use"

    retry_after_s: int | None = None

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"the first request with this Idempotency-Key is in progress: retry in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class UploadTimeoutError(RequestError):
    """The upload stalled, or it exceeded the time limit for uploads."""

    code = "upload-timeout"


class OverloadedError(RequestError):
    """The queue is full or the expected wait is too long. Retry after the seconds of the Retry-After header."""

    code = "overloaded"

    retry_after_s: int | None = None

    def __init__(self, in_progress: int, retry_after_s: int) -> None:
        super().__init__(f"{in_progress} requests are in progress: retry in {retry_after_s} s")
        self.retry_after_s = retry_after_s

    @classmethod
    def for_uploads(cls, uploads: int, retry_after_s: int) -> Self:
        """Return the error for a body that exceeds the limits of arriving bodies."""
        error = cls.from_message(f"{uploads} uploads are in progress: retry in {retry_after_s} s")
        error.retry_after_s = retry_after_s
        return error


class ShuttingDownError(RequestError):
    """The server stopped before it could respond. Retry: another replica or the restarted server responds."""

    code = "shutting-down"


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


class ReleaseError(ThaleError):
    """A release cannot be read or changed."""

    code = "release"


class InvalidTransitionError(ReleaseError):
    """The current state of the release does not allow the change."""

    code = "invalid-transition"


class ConflictError(ReleaseError):
    """Another process changed the release since it was read. Read it again and retry the change."""

    code = "conflict"


class RegistrationError(ReleaseError):
    """An archive fails the acceptance checks and cannot be registered."""

    code = "registration"


class VersionExistsError(ReleaseError):
    """The version is registered with other bytes. A registered version is immutable: use a new version number."""

    code = "version-exists"


class StoreError(ReleaseError):
    """The model store cannot be read or written."""

    code = "store"


class SignatureError(StoreError):
    """The bytes of an archive are not the registered ones, or no trusted key signed them, or a key cannot be read."""

    code = "signature"


class TargetError(ReleaseError):
    """The release target cannot read or apply a release, or load or unload a version."""

    code = "target"


class SecretError(ThaleError):
    """A secret or a secret store cannot be read. The message never contains a secret value."""

    code = "secret"


class ServerError(ThaleError):
    """A server does not respond as documented."""

    code = "server"


class ServerUnreachableError(ServerError):
    """No server responds at the address."""

    code = "server-unreachable"


class UnexpectedResponseError(ServerError):
    """The response of the server does not match thale's API."""

    code = "unexpected-response"


class FileAccessError(ThaleError):
    """A file or folder cannot be read or written, for example because the disk is full."""

    code = "file-access"


class LocalPlatformError(ThaleError):
    """The local platform cannot start or stay up."""

    code = "local-platform"
