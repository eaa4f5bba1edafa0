"""Content type of a request whose body is JSON."""

from fastapi import Request
from python_multipart.multipart import parse_options_header

from thale.errors import UnsupportedContentTypeError
from thale.facade.postprocess.types import JSON


def check_json_type(request: Request, content: str) -> None:
    """Check the content type, which may be missing.

    Args:
        request: The request.
        content: The fields of the JSON object, for the message of the error.

    Raises:
        UnsupportedContentTypeError: If the content type is not JSON.
    """
    media_type, _ = parse_options_header(request.headers.get("content-type"))
    if media_type not in (b"", JSON.encode()):
        raise UnsupportedContentTypeError(
            f"{media_type.decode('latin-1')[:100]} is not {JSON}: send a JSON object with {content}"
        )
