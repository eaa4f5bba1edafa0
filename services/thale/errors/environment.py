"""Errors of what surrounds thale: servers, secrets, files and the local platform."""

from thale.errors.thale_error import ThaleError


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


class MissingPackageError(ThaleError):
    """A package that this function needs is not installed."""

    code = "missing-package"


class LocalPlatformError(ThaleError):
    """The local platform cannot start or stay up."""

    code = "local-platform"


class BatchEngineError(ThaleError):
    """The batch engine cannot measure: its scheduler does not respond, or a worker cannot use the models or the store.

    Nothing is lost. The same command continues with the images that have no measurement.
    """

    code = "batch-engine"
