"""Errors of a release, of the model store, and of a release target."""

from thale.errors.thale_error import ThaleError


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
