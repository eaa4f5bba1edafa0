"""Upload of an image, as the body or as the multipart field `image`, up to the size limit.

The first bytes decide the format. The content type must be a generic or an image type. A wrong image type, such as
image/png for a JPEG, is accepted, because cameras, browsers and scripts send it.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from thale.errors import (
    EmptyImageError,
    ImageTooLargeError,
    ParameterError,
    UnsupportedContentTypeError,
)
from thale.facade.admission.controller import AdmissionController
from thale.facade.admission.uploads import BodyReservation
from thale.facade.api.file_names import upload_name
from thale.facade.request.options import Upload
from thale.facade.settings import FacadeSettings
from thale.imaging.image_signatures import SNIFF_BYTES, sniff

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_FIELD = "image"
MAX_FRAMING_BYTES = 64 * 2**10
"""Maximum size of a multipart body without the image."""
_MAX_LENGTH_DIGITS = 15
_GENERIC_MEDIA_TYPES = frozenset(
    {"application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"}
)
"""`curl --data-binary` sends application/x-www-form-urlencoded by default."""


@contextmanager
def admit_upload(request: Request, admission: AdmissionController, max_bytes: int) -> Iterator[None]:
    """Reserve a place and memory for the body of a request, before any byte of it is read.

    Args:
        request: The request; `request.state.body` is the reservation for the duration of the context.
        admission: The admission control of the facade.
        max_bytes: The maximum size of the body.

    Raises:
        ImageTooLargeError: If the Content-Length exceeds the limit.
        OverloadedError: If too many bodies arrive, or if the queue for the processing slots is full.
    """
    content_length = request.headers.get("content-length", "")
    # A length of thousands of digits is not parsed: int() takes quadratic time.
    declared_bytes = int(content_length[:_MAX_LENGTH_DIGITS]) if content_length.isdecimal() else 0
    if declared_bytes > max_bytes:
        raise _too_large_error(max_bytes)
    admission.check_capacity()
    with admission.uploads.receive(declared_bytes) as request.state.body:
        yield


async def read_upload(request: Request, settings: FacadeSettings) -> Upload:
    """Read the image of a request. An unsupported format is rejected after the first chunk.

    Raises:
        EmptyImageError: If the image has no bytes.
        UnsupportedImageError: If the first bytes are not of a JPEG, PNG, TIFF or HEIC.
        ImageTooLargeError: If the image exceeds the limit; the rest is not read.
        UnsupportedContentTypeError: If the content type is neither an image nor generic.
        ParameterError: If a multipart body is malformed, or does not have exactly one field `image`.
        UploadTimeoutError: If the body stalls.
        OverloadedError: If a body without a declared length exceeds the memory of all bodies.
    """
    media_type, options = parse_options_header(request.headers.get("content-type"))
    if media_type == b"multipart/form-data":
        return await _read_multipart(request, settings, options.get(b"boundary", b""))
    _check_media_type(media_type.decode("latin-1"))
    data = _ImageBytes(settings.max_body_bytes)
    async for chunk in stream_body(request, settings, settings.max_body_bytes):
        data.add(chunk)
    return Upload(data.finish())


async def stream_body(request: Request, settings: FacadeSettings, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body in chunks. The request holds a reservation of `admit_upload`.

    Raises:
        ImageTooLargeError: If the body exceeds the limit.
        UploadTimeoutError: If the body stalls, is too slow, or exceeds the upload timeout.
        OverloadedError: If a body without a declared length exceeds the memory of all bodies.
    """
    body: BodyReservation = request.state.body
    stream = aiter(request.stream())
    while (chunk := await body.read(stream)) is not None:
        if body.received_bytes > max_bytes:
            raise _too_large_error(max_bytes)
        yield chunk


def _too_large_error(max_bytes: int) -> ImageTooLargeError:
    return ImageTooLargeError(
        f"the body exceeds the limit of this path, {max_bytes} bytes: send a smaller image, or fewer in one request"
    )


def _check_media_type(media_type: str) -> None:
    if not media_type or media_type.startswith("image/") or media_type in _GENERIC_MEDIA_TYPES:
        return
    raise UnsupportedContentTypeError(
        f"{media_type} is not an image type: send the bytes of a JPEG, PNG, TIFF or HEIC as image/jpeg, image/png, "
        f"image/tiff, image/heic or application/octet-stream, or as the field `{_FIELD}` of multipart/form-data"
    )


class _ImageBytes:
    """Buffer of an image's bytes that checks the format as soon as it has enough of them."""

    def __init__(self, max_bytes: int) -> None:
        self._data = bytearray()
        self._max_bytes = max_bytes
        self._is_format_checked = False

    def add(self, chunk: bytes) -> None:
        self._data += chunk
        if len(self._data) > self._max_bytes:
            raise _too_large_error(self._max_bytes)
        if not self._is_format_checked and len(self._data) >= SNIFF_BYTES:
            self._check_format()

    def finish(self) -> bytes:
        if not self._data:
            raise EmptyImageError
        if not self._is_format_checked:
            self._check_format()
        return bytes(self._data)

    def _check_format(self) -> None:
        sniff(bytes(self._data[:SNIFF_BYTES]))
        self._is_format_checked = True


async def _read_multipart(request: Request, settings: FacadeSettings, boundary: bytes) -> Upload:
    form = _MultipartForm(settings.max_body_bytes)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for chunk in stream_body(request, settings, settings.max_body_bytes + MAX_FRAMING_BYTES):
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise ParameterError(f"the multipart body is malformed: {error}") from error
    return form.finish()


class _MultipartForm:
    """Callbacks of a multipart parser that accept only the field `image`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._image: _ImageBytes | None = None
        self._file_name: str | None = None
        self._header, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._is_complete = False

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin_data,
            "on_part_data": self._add,
            "on_end": self._end,
        }

    def finish(self) -> Upload:
        if not self._is_complete:
            raise ParameterError("the multipart body is truncated: its last boundary is missing")
        if self._image is None:
            raise ParameterError(f"the multipart body has no field `{_FIELD}`: send the image in this field")
        return Upload(self._image.finish(), self._file_name)

    def _begin_part(self) -> None:
        self._disposition = b""

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _begin_data(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode(errors="replace")
        if name != _FIELD:
            raise ParameterError(
                f"unknown field {name!r}: send the image in `{_FIELD}` and all parameters in the query"
            )
        if self._image is not None:
            raise ParameterError(f"there are several fields `{_FIELD}`: send one image per request")
        self._image = _ImageBytes(self._max_bytes)
        self._file_name = upload_name(self._disposition, options)

    def _add(self, data: bytes, start: int, end: int) -> None:
        assert self._image is not None  # noqa: S101 (the parser reports data only after headers)
        self._image.add(data[start:end])

    def _end(self) -> None:
        self._is_complete = True
