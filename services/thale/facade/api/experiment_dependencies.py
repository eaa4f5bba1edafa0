"""Dependencies and bodies shared by the routes of experiments, measurements and jobs."""

from collections.abc import Sequence
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header

from thale.auth.principal import Principal
from thale.errors import (
    ExperimentsDisabledError,
    ForbiddenError,
    ParameterError,
    UnsupportedContentTypeError,
    describe_validation_error,
)
from thale.facade.admission.controller import AdmissionController
from thale.facade.api.content_encoding import reject_compressed_body
from thale.facade.api.upload import admit_upload, stream_body
from thale.facade.experiments.job_worker import JobWorker
from thale.facade.experiments.service import ExperimentService
from thale.facade.experiments.table_file import TableWriter
from thale.facade.postprocess.types import JSON
from thale.facade.settings import FacadeSettings
from thale.schemas.experiment import Experiment

_Body = TypeVar("_Body", bound=BaseModel)
MAX_JSON_BYTES = 4 * 2**20
MAX_PAGE = 500
PageLimit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Maximum number of items on the page.")]
Cursor = Annotated[
    str | None, Query(max_length=100, description="`next_cursor` of the page before. The first page needs none.")
]


def _service(request: Request) -> ExperimentService:
    service: ExperimentService | None = request.app.state.experiments
    if service is None:
        raise ExperimentsDisabledError
    return service


def _table_writer(request: Request) -> TableWriter:
    writer: TableWriter | None = request.app.state.table_writer
    if writer is None:
        raise ExperimentsDisabledError
    return writer


def _job_worker(request: Request) -> JobWorker:
    worker: JobWorker | None = request.app.state.job_worker
    if worker is None:
        raise ExperimentsDisabledError
    return worker


ServiceDependency = Annotated[ExperimentService, Depends(_service)]
TableWriterDependency = Annotated[TableWriter, Depends(_table_writer)]
JobWorkerDependency = Annotated[JobWorker, Depends(_job_worker)]


async def read_body(request: Request, max_bytes: int, media_types: Sequence[str]) -> tuple[bytes, str]:
    """Read a body that is no image. Return it with its media type; without one, it is the first of `media_types`.

    Raises:
        UnsupportedContentTypeError: If the media type is another one.
        RequestError, ImageTooLargeError: As `stream_body`.
    """
    settings: FacadeSettings = request.app.state.settings
    admission: AdmissionController = request.app.state.pipeline.admission
    reject_compressed_body(request)
    found, _ = parse_options_header(request.headers.get("content-type"))
    media_type = found.decode("latin-1") or media_types[0]
    if media_type not in media_types:
        raise UnsupportedContentTypeError(f"{media_type[:100]} is not supported: send {' or '.join(media_types)}")
    max_bytes = min(max_bytes, settings.max_body_bytes)
    body = bytearray()
    with admit_upload(request, admission, max_bytes):
        async for chunk in stream_body(request, settings, max_bytes):
            body += chunk
    return bytes(body), media_type


async def parse_body(request: Request, model: type[_Body]) -> _Body:
    """Read and validate a JSON body.

    Raises:
        ParameterError: If the body is invalid.
    """
    body, _ = await read_body(request, MAX_JSON_BYTES, (JSON,))
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise ParameterError(f"the body is invalid: {describe_validation_error(error)}") from error


def parse_number_cursor(cursor: str | None) -> int:
    """Return the position of a cursor that is a number.

    Raises:
        ParameterError: If it is no `next_cursor` of a page.
    """
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 12):
        raise ParameterError(f"cursor={cursor!r} is invalid: send the `next_cursor` of the page before")
    return int(cursor)


def caller_id(request: Request) -> str:
    """Return the stable identifier of the authenticated caller."""
    principal: Principal = request.state.principal
    return principal.id


def require_owner(request: Request, experiment: Experiment) -> None:
    """Check that the caller created an experiment, or has the scope `admin`.

    Raises:
        ForbiddenError: If it did not.
    """
    principal: Principal = request.state.principal
    if principal.id != experiment.created_by and not principal.has_scope("admin"):
        raise ForbiddenError(
            f"the experiment was created by {experiment.created_by}: ask that caller or an administrator", "admin"
        )
