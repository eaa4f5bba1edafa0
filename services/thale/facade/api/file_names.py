"""File names of uploads: the `filename` of a multipart part as clients write it, and its printable base name."""

import binascii
import email.header
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

_MAX_NAME_LENGTH = 255
_EXTENDED_NAME = re.compile(rb";\s*filename\*\s*=\s*([A-Za-z0-9-]{1,40})'[^';\s]*'([^;\s]*)", re.IGNORECASE)
_ENCODED_WORD = re.compile(r"=\?[A-Za-z0-9-]{1,40}\?[BbQq]\?[^?\s]*\?=")
_BROWSER_ESCAPES = (("%22", '"'), ("%0D", "\r"), ("%0d", "\r"), ("%0A", "\n"), ("%0a", "\n"))
"""Characters that the form encoding of HTML escapes in a name. It escapes no others, so a `%20` is part of the name."""


def upload_name(disposition: bytes, options: Mapping[bytes, bytes]) -> str | None:
    """Return the printable file name of a multipart part, or None if it has none.

    Browsers, curl and Python write `filename` in UTF-8. .NET writes an encoded word (RFC 2047) there and the name in
    `filename*` (RFC 5987). RFC 7578 forbids `filename*`, but some clients send nothing else.

    Args:
        disposition: The header Content-Disposition of the part.
        options: Its parameters.
    """
    name = _extended_name(disposition)
    if name is None:
        name = options.get(b"filename", b"").decode(errors="replace")
        if _ENCODED_WORD.fullmatch(name):
            name = _decode_word(name)
        for escape, character in _BROWSER_ESCAPES:
            name = name.replace(escape, character)
    return sanitize_filename(name)


def sanitize_filename(name: str) -> str | None:
    """Return the printable base name, up to 255 characters, or None if nothing is left."""
    basename = name.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(character for character in basename if character.isprintable()).strip()
    return printable[:_MAX_NAME_LENGTH] or None


def _extended_name(disposition: bytes) -> str | None:
    unquoted = b'""'.join(disposition.replace(b'\\"', b"").split(b'"')[::2])
    extended = _EXTENDED_NAME.search(unquoted)
    if extended is None:
        return None
    try:
        return unquote_to_bytes(extended[2]).decode(extended[1].decode())
    except (LookupError, UnicodeDecodeError):
        return None


def _decode_word(word: str) -> str:
    try:
        return str(email.header.make_header(email.header.decode_header(word)))
    except (LookupError, UnicodeDecodeError, email.errors.HeaderParseError, binascii.Error):
        return word
