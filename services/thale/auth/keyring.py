"""Keyring: the records of all API keys with the peppers, and the verification of a key."""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from thale.auth.api_key import ApiKey
from thale.auth.principal import Principal, Scope
from thale.errors import UnauthenticatedError

_UNKNOWN_DIGEST = "0" * 64
_MAX_VERIFIED = 1024


class ApiKeyRecord(BaseModel):
    """The stored part of an API key. It does not contain the key, only its digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{8}$")
    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")
    """Name of the caller. Several keys may have one name, so that a caller can change its key without an outage."""
    scopes: frozenset[Scope] = Field(min_length=1)
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    """HMAC-SHA-256 of the key with the pepper of its creation."""
    created: AwareDatetime
    expires: AwareDatetime
    revoked: AwareDatetime | None = None
    """Time from which the key is invalid. A time in the future is the grace period of a rotation."""

    def state(self, now: datetime) -> str:
        """Return `valid`, `revoked` or `expired`."""
        if self.revoked is not None and self.revoked <= now:
            return "revoked"
        return "expired" if self.expires <= now else "valid"


@dataclass(frozen=True)
class Keyring:
    """All API keys of a store at one time. A key verifies with any of the peppers, so a pepper can be rotated."""

    records: Mapping[str, ApiKeyRecord]
    peppers: Sequence[bytes] = field(repr=False)
    _verified: OrderedDict[bytes, ApiKeyRecord] = field(default_factory=OrderedDict, repr=False, compare=False)
    """Records of keys that were verified with this keyring, by the SHA-256 of the key."""

    def authenticate(self, credential: str, now: datetime) -> Principal:
        """Return the caller of a key.

        The digests are compared in constant time, for an unknown id as well. A client that does not have the whole key
        therefore cannot learn which ids exist, or which of them are revoked or expired.

        Raises:
            UnauthenticatedError: If the credential is not a valid key.
        """
        cache_key = hashlib.sha256(credential.encode()).digest()
        record = self._verified.get(cache_key)
        if record is None:
            record = self._verify(credential)
            self._verified[cache_key] = record
            if len(self._verified) > _MAX_VERIFIED:
                self._verified.popitem(last=False)
        match record.state(now):
            case "revoked":
                raise UnauthenticatedError("the API key was revoked: ask the operator for a new one", reason="revoked")
            case "expired":
                raise UnauthenticatedError("the API key has expired: ask the operator for a new one", reason="expired")
        return Principal(f"key:{record.id}", record.name, record.scopes)

    def _verify(self, credential: str) -> ApiKeyRecord:
        key = ApiKey.parse(credential)
        if key is None:
            raise UnauthenticatedError(
                "the API key is incomplete or has a typing error: copy the whole key", reason="malformed"
            )
        record = self.records.get(key.id)
        expected = _UNKNOWN_DIGEST if record is None else record.digest
        matches = [hmac.compare_digest(key.digest(pepper), expected) for pepper in self.peppers]
        if record is None or not any(matches):
            raise UnauthenticatedError("the API key is unknown: ask the operator for a new one", reason="unknown")
        return record
