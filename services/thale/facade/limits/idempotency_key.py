"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header-07): the key of a request, and its fingerprint."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from thale.errors import ParameterError

IDEMPOTENCY_KEY_FIELD = "Idempotency-Key"
_KEY = re.compile(r'"[\x21\x23-\x5b\x5d-\x7e]{1,255}"|[\x21\x23-\x5b\x5d-\x7e]{1,255}')
"""A string of structured fields without spaces and escapes. Many clients omit its quotes."""
_FINGERPRINT_FIELDS = ("accept", "content-type", "inference-header-content-length")
"""Fields that decide how the body is read and which format is returned."""


@dataclass(frozen=True, slots=True)
class ScopedKey:
    """Idempotency key of one caller. Both parts are digests, so that stores contain no identity."""

    caller: str
    key: str


def parse_key(values: Sequence[str], caller: str) -> ScopedKey | None:
    """Return the key of a request, or None if it has none.

    Args:
        values: The values of the header `Idempotency-Key`.
        caller: The id of the caller.

    Raises:
        ParameterError: If there are several values, or one that is not a key.
    """
    if not values:
        return None
    if len(values) > 1 or _KEY.fullmatch(values[0]) is None:
        raise ParameterError(
            f"{IDEMPOTENCY_KEY_FIELD} is not a key: send it once, as 1 to 255 printable ASCII characters without spaces"
        )
    return ScopedKey(_digest(caller), _digest(values[0].strip('"')))


def request_fingerprint(method: str, path: bytes, query: bytes, fields: Sequence[tuple[bytes, bytes]]) -> str:
    """Return the digest of everything in a request that affects its response, except the body."""
    parts = [method.encode(), path, query]
    for name in _FINGERPRINT_FIELDS:
        parts.append(b",".join(value for field, value in fields if field.lower() == name.encode()))
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d:" % len(part) + part)
    return digest.hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
