"""Tests of the error classes, their codes and their descriptions."""

from collections.abc import Iterator

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError, model_validator

from thale import errors
from thale.errors import ThaleError, describe_missing_package, error_class

# The codes are part of the wire format: problem types, metric labels and worker error bodies.
CODES: dict[type[ThaleError], str] = {
    errors.ThaleError: "thale",
    errors.ImageError: "image",
    errors.EmptyImageError: "empty-image",
    errors.UnsupportedImageError: "unsupported-image",
    errors.DamagedImageError: "damaged-image",
    errors.ImageTooSmallError: "image-too-small",
    errors.ImageTooLargeError: "image-too-large",
    errors.MultiPageImageError: "multi-page-image",
    errors.DoubtfulImageError: "doubtful-image",
    errors.ScaleError: "scale",
    errors.ParameterError: "parameter",
    errors.RequestError: "request",
    errors.UnsupportedContentTypeError: "unsupported-content-type",
    errors.UnsupportedContentEncodingError: "unsupported-content-encoding",
    errors.MalformedRequestError: "malformed-request",
    errors.NotAcceptableError: "not-acceptable",
    errors.UnauthenticatedError: "unauthenticated",
    errors.AuthenticationUnavailableError: "authentication-unavailable",
    errors.ForbiddenError: "forbidden",
    errors.RateLimitedError: "rate-limited",
    errors.IdempotencyKeyReusedError: "idempotency-key-reused",
    errors.IdempotencyKeyInUseError: "idempotency-key-in-use",
    errors.UploadTimeoutError: "upload-timeout",
    errors.OverloadedError: "overloaded",
    errors.ShuttingDownError: "shutting-down",
    errors.ExperimentError: "experiment",
    errors.ExperimentsDisabledError: "experiments-disabled",
    errors.UnknownExperimentError: "unknown-experiment",
    errors.ExperimentExistsError: "experiment-exists",
    errors.UnknownImageError: "unknown-image",
    errors.UnknownMeasurementError: "unknown-measurement",
    errors.UnknownBrapiObjectError: "unknown-brapi-object",
    errors.UnknownJobError: "unknown-job",
    errors.DesignTableError: "design-table",
    errors.ExperimentStoreError: "experiment-store",
    errors.SchemaVersionError: "schema-version",
    errors.ModelError: "model",
    errors.UnknownModelError: "unknown-model",
    errors.UnknownVersionError: "unknown-version",
    errors.WrongTaskError: "wrong-task",
    errors.ModelUnavailableError: "model-unavailable",
    errors.ModelStartingError: "model-starting",
    errors.ModelFailedError: "model-failed",
    errors.InvalidModelResponseError: "invalid-model-response",
    errors.DeadlineExceededError: "deadline-exceeded",
    errors.ArchiveError: "archive",
    errors.DeviceError: "device",
    errors.AnnotationError: "annotation",
    errors.DatasetError: "dataset",
    errors.TrainingError: "training",
    errors.ReleaseError: "release",
    errors.InvalidTransitionError: "invalid-transition",
    errors.ConflictError: "conflict",
    errors.RegistrationError: "registration",
    errors.VersionExistsError: "version-exists",
    errors.StoreError: "store",
    errors.SignatureError: "signature",
    errors.TargetError: "target",
    errors.MissingPackageError: "missing-package",
    errors.SecretError: "secret",
    errors.ServerError: "server",
    errors.ServerUnreachableError: "server-unreachable",
    errors.UnexpectedResponseError: "unexpected-response",
    errors.FileAccessError: "file-access",
    errors.LocalPlatformError: "local-platform",
    errors.BatchEngineError: "batch-engine",
}


def subclasses(kind: type[ThaleError]) -> Iterator[type[ThaleError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__.startswith(errors.__name__):
            yield from subclasses(child)


def test_error_codes_are_pinned() -> None:
    assert {kind: kind.code for kind in subclasses(ThaleError)} == CODES


def test_every_error_declares_its_own_code() -> None:
    assert [kind.__name__ for kind in subclasses(ThaleError) if "code" not in vars(kind)] == []


def test_error_class_finds_the_class_of_every_code() -> None:
    assert {error_class(code) for code in CODES.values()} == set(CODES)
    assert error_class("no-such-code") is None


class _Limits(BaseModel):
    low: int
    high: int

    @model_validator(mode="after")
    def _check_order(self) -> "_Limits":
        if self.low > self.high:
            raise ValueError("low exceeds high")
        return self


def _validation_error(content: object) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(dict[str, _Limits]).validate_python({"first": content})
    return caught.value


def test_validation_error_description_names_each_field() -> None:
    error = _validation_error({"low": "secret-value"})
    description = errors.describe_validation_error(error)
    assert description == (
        "first.low: Input should be a valid integer, unable to parse string as an integer; first.high: Field required"
    )


def test_validation_error_description_omits_type_of_exception() -> None:
    error = _validation_error({"low": 2, "high": 1})
    assert errors.describe_validation_error(error) == "first: low exceeds high"


def test_validation_error_description_without_location() -> None:
    with pytest.raises(ValidationError) as caught:
        _Limits(low=2, high=1)
    assert errors.describe_validation_error(caught.value) == "low exceeds high"


def test_settings_error_description_names_variables() -> None:
    with pytest.raises(ValidationError) as caught:
        _Limits.model_validate({"low": 1})
    assert errors.describe_settings_error(caught.value) == "THALE_HIGH: Field required\n"


@pytest.mark.parametrize(
    ("module", "remedy"),
    [
        ("numpy.linalg", "the package numpy is not installed: pip install 'thale[server]'"),
        ("torch", "the package torch is not installed: pip install 'thale[models]'"),
        ("thale.missing", None),
        (None, None),
    ],
)
def test_describe_missing_package_names_the_extra(module: str | None, remedy: str | None) -> None:
    assert describe_missing_package(ModuleNotFoundError(name=module)) == remedy
