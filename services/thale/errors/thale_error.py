"""Base class of all errors, and the class of a code."""

from typing import ClassVar, Self


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
