"""JSON of an inference request, separated into its long texts and the rest.

The images of a request are base64 texts of up to 85 MB. A JSON parser needs time and memory in proportion to what it
reads: 4 MB of `{}` became 5.3 GB. Only the rest of the document, up to 16 KiB, is therefore parsed (ADR 0087).
"""

import binascii
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from thale.errors import ParameterError

MAX_JSON_BYTES = 16 * 2**10
"""Maximum size of the JSON without its long texts. A request with every option has less than 2 KiB."""
LONG_TEXT_LENGTH = 1024
"""A text with more characters is not parsed as JSON. The smallest image that can be measured is longer."""

_SHORT_TEXT = re.compile(rb'"(?:[^"\\]|\\.){0,1024}+"', re.DOTALL)
_ESCAPES = (
    (b"\\u002b", b"+"),
    (b"\\u002B", b"+"),
    (b"\\u002f", b"/"),
    (b"\\u002F", b"/"),
    (b"\\u003d", b"="),
    (b"\\u003D", b"="),
    (b"\\/", b"/"),
)
"""Escapes of base64 characters. .NET writes \\u002B for a plus sign, PHP writes \\/ for a slash."""
_BASE64_BLOCK = 4 * 2**18
"""Characters that are decoded in one call. A call holds the interpreter lock, for about 1 ms."""


@dataclass(frozen=True)
class SplitJson:
    """A JSON document in which a marker replaces each long text."""

    json: bytes
    texts: Mapping[str, bytes]
    """The long texts by their markers, without quotation marks."""


def split_long_texts(body: bytes | bytearray, end: int, max_texts: int) -> SplitJson:
    """Return the JSON in `body[:end]`, and separately its texts of more than `LONG_TEXT_LENGTH` characters.

    The time is that of a byte search, plus a bounded amount.

    Raises:
        ParameterError: If the rest of the JSON exceeds `MAX_JSON_BYTES`, or if there are more than `max_texts` long
            texts.
    """
    marker = secrets.token_hex(8)  # a client cannot send it
    pieces, texts = list[bytes](), dict[str, bytes]()
    position = size = 0
    while (opening := body.find(b'"', position, end)) >= 0:
        short_text = _SHORT_TEXT.match(body, opening, end)
        piece_end = short_text.end() if short_text else opening
        size += piece_end - position
        if size > MAX_JSON_BYTES:
            raise _too_large_error()
        pieces.append(bytes(body[position:piece_end]))
        position = piece_end
        if short_text is None:
            closing = _find_closing_quote(body, opening, end)
            if len(texts) == max_texts:
                raise ParameterError(f"the request has more than {max_texts} texts with an image: send fewer")
            key = f"{marker}-{len(texts)}"
            texts[key] = bytes(body[opening + 1 : closing])
            pieces.append(f'"{key}"'.encode())
            position = closing + 1
    if size + end - position > MAX_JSON_BYTES:
        raise _too_large_error()
    pieces.append(bytes(body[position:end]))
    return SplitJson(b"".join(pieces), texts)


def decode_base64(text: bytes) -> bytes:
    """Return the bytes of a base64 text, which may have JSON escapes.

    Raises:
        ValueError: If the text is not base64.
    """
    if b"\\" in text:
        for escape, character in _ESCAPES:
            text = text.replace(escape, character)
    blocks = []
    for start in range(0, len(text), _BASE64_BLOCK):
        block = binascii.a2b_base64(text[start : start + _BASE64_BLOCK], strict_mode=True)
        if start + _BASE64_BLOCK < len(text) and len(block) != _BASE64_BLOCK // 4 * 3:
            raise ValueError("padding within the text")
        blocks.append(block)
    return b"".join(blocks)


def _find_closing_quote(body: bytes | bytearray, opening: int, end: int) -> int:
    closing = body.find(b'"', opening + 1, end)
    if closing < 0 or body[closing - 1] == ord("\\"):
        raise ParameterError(
            f"a text of more than {LONG_TEXT_LENGTH} characters is not base64: send an image as base64, or with the "
            "binary extension"
        )
    return closing


def _too_large_error() -> ParameterError:
    return ParameterError(
        f"the JSON has more than {MAX_JSON_BYTES} bytes without its images: send one input and only the parameters of "
        "this server"
    )
