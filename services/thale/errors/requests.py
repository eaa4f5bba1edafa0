"""Errors of a request that cannot be accepted."""

from typing import Self

from thale.errors.thale_error import ThaleError


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
