"""Errors that several operations of the OpenAPI document share."""

from thale import errors
from thale.errors import ThaleError

ErrorTypes = tuple[type[ThaleError], ...]
AUTHENTICATION: ErrorTypes = (
    errors.UnauthenticatedError,
    errors.ForbiddenError,
    errors.AuthenticationUnavailableError,
)
BODY: ErrorTypes = (
    errors.UploadTimeoutError,
    errors.IdempotencyKeyInUseError,
    errors.IdempotencyKeyReusedError,
    errors.ImageTooLargeError,
    errors.UnsupportedContentEncodingError,
    errors.ParameterError,
    errors.RateLimitedError,
    errors.OverloadedError,
    errors.ShuttingDownError,
    errors.DeadlineExceededError,
    errors.ModelFailedError,
)
IMAGE: ErrorTypes = (
    errors.EmptyImageError,
    errors.UnsupportedImageError,
    errors.DamagedImageError,
    errors.ImageTooSmallError,
    errors.MultiPageImageError,
    errors.ScaleError,
    errors.UnknownModelError,
    errors.UnknownVersionError,
    errors.WrongTaskError,
    errors.ModelUnavailableError,
    errors.ModelStartingError,
    errors.InvalidModelResponseError,
)
