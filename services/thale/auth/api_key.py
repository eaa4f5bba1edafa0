"""API key: its format, its checksum and its digest.

    thale_4f1c09ab_ + 43 characters of 256 random bits + 6 characters of a checksum

The prefix and the fixed length let secret scanners find a leaked key. The checksum (CRC-32 in base 62, as in GitHub's
tokens) lets them and this module reject a text that is not a whole key. It protects against typing errors only.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field

PREFIX = "thale_"
KEY_PATTERN = re.compile(r"thale_(?P<id>[0-9a-f]{8})_(?P<secret>[0-9A-Za-z]{43})(?P<checksum>[0-9A-Za-z]{6})")
"""For secret scanners as well: README.md shows it."""
MIN_PEPPER_BYTES = 32
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_BYTES = 32
_SECRET_LENGTH = 43  # 62**43 > 2**256
_CHECKSUM_LENGTH = 6  # 62**6 > 2**32


@dataclass(frozen=True)
class ApiKey:
    """A whole API key. Its representation does not contain the secret."""

    id: str
    """Public part, by which the record of the key is found."""
    text: str = field(repr=False)

    @classmethod
    def generate(cls) -> "ApiKey":
        """Return a new key with 256 bits of the system's random number generator."""
        key_id = secrets.token_hex(4)
        secret = _to_base62(int.from_bytes(secrets.token_bytes(_SECRET_BYTES)), _SECRET_LENGTH)
        body = f"{PREFIX}{key_id}_{secret}"
        return cls(key_id, body + _checksum(body))

    @classmethod
    def parse(cls, text: str) -> "ApiKey | None":
        """Return the key of a text, or None if the text is not a whole key."""
        match = KEY_PATTERN.fullmatch(text)
        if match is None or _checksum(text[: match.start("checksum")]) != match["checksum"]:
            return None
        return cls(match["id"], text)

    def digest(self, pepper: bytes) -> str:
        """Return the HMAC-SHA-256 of the whole key with a pepper, as 64 hexadecimal digits."""
        return hmac.new(pepper, self.text.encode(), hashlib.sha256).hexdigest()


def generate_pepper() -> str:
    """Return a new pepper with 256 random bits."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def _checksum(body: str) -> str:
    return _to_base62(zlib.crc32(body.encode()), _CHECKSUM_LENGTH)


def _to_base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, len(_BASE62))
        digits = _BASE62[digit] + digits
    return digits
