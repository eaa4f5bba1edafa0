"""Content-Encoding of request bodies: thale reads uncompressed bodies only.

An image format compresses its pixels already. A compressed body could expand to far more memory than its size.
"""

from starlette.requests import Request

from thale.errors import UnsupportedContentEncodingError


def reject_compressed_body(request: Request) -> None:
    """Check the Content-Encoding of a request, before its body is read.

    Raises:
        UnsupportedContentEncodingError: If the body has an encoding other than `identity`.
    """
    codings = [coding.strip() for line in request.headers.getlist("content-encoding") for coding in line.split(",")]
    for coding in codings:
        if coding and coding.lower() != "identity":
            raise UnsupportedContentEncodingError(
                f"the body has the Content-Encoding {coding[:32]!r}: send it uncompressed, without this header"
            )
