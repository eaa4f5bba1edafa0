"""Store of API keys: the protocol of both stores, and the commands on a store."""

from datetime import datetime, timedelta
from typing import Protocol

from pydantic import ValidationError

from thale.auth.api_key import ApiKey
from thale.auth.keyring import ApiKeyRecord, Keyring
from thale.auth.principal import Scope
from thale.errors import ParameterError, describe_validation_error

PEPPER = "api-key-pepper"
"""Name of the secret with the pepper."""


class ApiKeyStore(Protocol):
    """A store of API key records and of the pepper: a file, or a Key Vault."""

    def read(self) -> Keyring:
        """Return all records and the valid peppers. Blocks on the network.

        Raises:
            SecretError: If the store cannot be read.
        """
        ...

    def ensure_pepper(self) -> bytes:
        """Return the newest pepper. Create one if none is valid.

        Raises:
            SecretError: If the store cannot be read or written.
        """
        ...

    def put(self, record: ApiKeyRecord) -> None:
        """Add a record, or replace the one with its id.

        Raises:
            SecretError: If the store cannot be read or written.
        """
        ...


def create_key(
    store: ApiKeyStore, name: str, scopes: frozenset[Scope], lifetime: timedelta, now: datetime
) -> tuple[ApiKey, ApiKeyRecord]:
    """Create a key and store its record. The key itself is stored nowhere.

    Raises:
        ParameterError: If the name is empty, too long, or contains control characters.
        SecretError: If the store cannot be read or written.
    """
    pepper = store.ensure_pepper()
    key = ApiKey.generate()
    try:
        record = ApiKeyRecord(
            id=key.id, name=name, scopes=scopes, digest=key.digest(pepper), created=now, expires=now + lifetime
        )
    except ValidationError as error:
        raise ParameterError(f"the API key is invalid: {describe_validation_error(error)}") from None
    store.put(record)
    return key, record


def revoke_key(store: ApiKeyStore, key_id: str, at: datetime) -> ApiKeyRecord:
    """Revoke a key from a time on, and return its record. An earlier revocation is kept.

    Raises:
        ParameterError: If the store has no such key.
        SecretError: If the store cannot be read or written.
    """
    record = store.read().records.get(key_id)
    if record is None:
        raise ParameterError(f"there is no API key with the id {key_id!r}: list the keys with `thale keys list`")
    if record.revoked is None or record.revoked > at:
        record = record.model_copy(update={"revoked": at})
        store.put(record)
    return record
