"""Secrets and signatures of webhooks by Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`.

Source: https://github.com/standard-webhooks/standard-webhooks, "Signature scheme", symmetric.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

SECRET_PREFIX = "whsec_"  # noqa: S105 (the prefix of every secret)
_MIN_SECRET_BYTES = 24


def parse_secrets(text: str) -> list[bytes]:
    """Return the secrets of a file: one for each line, as `whsec_` and base64 of 24 bytes or more.

    Raises:
        ValueError: If the file has no secret, or an invalid one. The message contains no secret.
    """
    secrets = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            secret = base64.b64decode(line.strip().removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error:
            secret = b""
        if not line.strip().startswith(SECRET_PREFIX) or len(secret) < _MIN_SECRET_BYTES:
            raise ValueError(
                f"line {number} is no secret: write `{SECRET_PREFIX}` and the base64 of {_MIN_SECRET_BYTES} or more "
                'random bytes, as of `echo "whsec_$(openssl rand -base64 32)"`'
            )
        secrets.append(secret)
    if not secrets:
        raise ValueError("there is no secret: write one for each line, the newest first")
    return secrets


def sign(secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature`: a signature for each secret, separated by spaces."""
    content = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(secret, content, hashlib.sha256) for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
