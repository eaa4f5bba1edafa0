"""Every error that thale raises on purpose. The HTTP status of each class is in `thale.facade.api.problems`.

Each class has a stable code, and its message states the failure, its cause and the remedy.

    images       errors of an image or of its scale
    requests     errors of a request that cannot be accepted
    models       errors of a model that cannot return a prediction, or that cannot be trained or read
    releases     errors of a release, of the model store, and of a release target
    environment  errors of what surrounds thale: servers, secrets, files and the local platform
"""

from thale.errors.descriptions import (
    describe_missing_package,
    describe_settings_error,
    describe_validation_error,
)
from thale.errors.environment import (
    FileAccessError,
    LocalPlatformError,
    MissingPackageError,
    SecretError,
    ServerError,
    ServerUnreachableError,
    UnexpectedResponseError,
)
from thale.errors.images import (
    DamagedImageError,
    DoubtfulImageError,
    EmptyImageError,
    ImageError,
    ImageTooLargeError,
    ImageTooSmallError,
    MultiPageImageError,
    ScaleError,
    UnsupportedImageError,
)
from thale.errors.models import (
    AnnotationError,
    ArchiveError,
    DatasetError,
    DeadlineExceededError,
    DeviceError,
    InvalidModelResponseError,
    ModelError,
    ModelFailedError,
    ModelStartingError,
    ModelUnavailableError,
    TrainingError,
    UnknownModelError,
    UnknownVersionError,
    WrongTaskError,
)
from thale.errors.releases import (
    ConflictError,
    InvalidTransitionError,
    RegistrationError,
    ReleaseError,
    SignatureError,
    StoreError,
    TargetError,
    VersionExistsError,
)
from thale.errors.requests import (
    AuthenticationUnavailableError,
    ForbiddenError,
    IdempotencyKeyInUseError,
    IdempotencyKeyReusedError,
    MalformedRequestError,
    NotAcceptableError,
    OverloadedError,
    ParameterError,
    RateLimitedError,
    RequestError,
    ShuttingDownError,
    UnauthenticatedError,
    UnsupportedContentEncodingError,
    UnsupportedContentTypeError,
    UploadTimeoutError,
)
from thale.errors.thale_error import (
    ThaleError,
    error_class,
)

__all__ = [
    "AnnotationError",
    "ArchiveError",
    "AuthenticationUnavailableError",
    "ConflictError",
    "DamagedImageError",
    "DatasetError",
    "DeadlineExceededError",
    "DeviceError",
    "DoubtfulImageError",
    "EmptyImageError",
    "FileAccessError",
    "ForbiddenError",
    "IdempotencyKeyInUseError",
    "IdempotencyKeyReusedError",
    "ImageError",
    "ImageTooLargeError",
    "ImageTooSmallError",
    "InvalidModelResponseError",
    "InvalidTransitionError",
    "LocalPlatformError",
    "MalformedRequestError",
    "MissingPackageError",
    "ModelError",
    "ModelFailedError",
    "ModelStartingError",
    "ModelUnavailableError",
    "MultiPageImageError",
    "NotAcceptableError",
    "OverloadedError",
    "ParameterError",
    "RateLimitedError",
    "RegistrationError",
    "ReleaseError",
    "RequestError",
    "ScaleError",
    "SecretError",
    "ServerError",
    "ServerUnreachableError",
    "ShuttingDownError",
    "SignatureError",
    "StoreError",
    "TargetError",
    "ThaleError",
    "TrainingError",
    "UnauthenticatedError",
    "UnexpectedResponseError",
    "UnknownModelError",
    "UnknownVersionError",
    "UnsupportedContentEncodingError",
    "UnsupportedContentTypeError",
    "UnsupportedImageError",
    "UploadTimeoutError",
    "VersionExistsError",
    "WrongTaskError",
    "describe_missing_package",
    "describe_settings_error",
    "describe_validation_error",
    "error_class",
]
