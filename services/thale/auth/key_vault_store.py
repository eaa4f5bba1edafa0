"""API keys in an Azure Key Vault: one secret for each key, because a secret holds up to 25 kB.

`api-key-pepper` has the pepper, and `api-key-ID` the record of a key as JSON, without the key itself. The three newest
versions of the pepper that are enabled and have not expired are valid. A new version can therefore be added before its
predecessor is disabled.
"""

import logging
import re
from datetime import UTC, datetime

from pydantic import SecretStr, ValidationError

from thale.auth.api_key import MIN_PEPPER_BYTES, generate_pepper
from thale.auth.key_store import PEPPER
from thale.auth.keyring import ApiKeyRecord, Keyring
from thale.errors import SecretError, describe_validation_error
from thale.secrets.key_vault import KeyVaultSecrets, SecretVersion

logger = logging.getLogger(__name__)

_KEY_PREFIX = "api-key-"
_KEY_NAME = re.compile(r"api-key-[0-9a-f]{8}")
_MAX_PEPPERS = 3
"""Maximum number of valid versions. Each of them adds one digest to the verification of a key."""


class ApiKeyVault:
    """The API keys in a vault. A read fetches only the values that changed since the last one."""

    def __init__(self, vault: KeyVaultSecrets) -> None:
        self._vault = vault
        self._records: dict[SecretVersion, ApiKeyRecord | None] = {}
        self._peppers: dict[str, SecretStr] = {}

    def read(self) -> Keyring:
        """Return all records and the valid peppers.

        Raises:
            SecretError: If the vault cannot be read, or has no pepper.
        """
        peppers = self._read_peppers()
        current = [secret for secret in self._vault.list_current() if _KEY_NAME.fullmatch(secret.name)]
        self._records = {secret: record for secret, record in self._records.items() if secret in current}
        for secret in current:
            if secret.is_enabled and secret not in self._records:
                self._records[secret] = self._read_record(secret)
        records = [record for record in self._records.values() if record is not None]
        return Keyring({record.id: record for record in records}, peppers)

    def ensure_pepper(self) -> bytes:
        """Return the newest pepper. Create one if no version of it is enabled and unexpired.

        Raises:
            SecretError: If the vault cannot be read or written.
        """
        now = datetime.now(UTC)
        if not any(secret.is_valid(now) for secret in self._vault.list_versions(PEPPER)):
            self._vault.write(PEPPER, generate_pepper())
        return self._read_peppers()[0]

    def put(self, record: ApiKeyRecord) -> None:
        """Add a record, or replace the one with its id. The secret expires with the key, or when it is revoked.

        Raises:
            SecretError: If the vault rejects it, or cannot be reached.
        """
        end = record.expires if record.revoked is None else min(record.expires, record.revoked)
        self._vault.write(f"{_KEY_PREFIX}{record.id}", record.model_dump_json(), end)

    def _read_record(self, secret: SecretVersion) -> ApiKeyRecord | None:
        """Return the record of a secret, or None if the secret was removed or is invalid."""
        value = self._vault.read(secret.name)
        if value is None:
            return None
        try:
            record = ApiKeyRecord.model_validate_json(value.get_secret_value())
        except ValidationError as error:
            logger.warning(
                "API key record is invalid", extra={"error": f"{secret.name}: {describe_validation_error(error)}"}
            )
            return None
        if f"{_KEY_PREFIX}{record.id}" != secret.name:
            logger.warning("API key record is invalid", extra={"error": f"{secret.name} has the record of another key"})
            return None
        if secret.expires is not None:  # an operator can shorten the lifetime in the vault
            record = record.model_copy(update={"expires": min(record.expires, secret.expires)})
        return record

    def _read_peppers(self) -> list[bytes]:
        now = datetime.now(UTC)
        valid = [secret for secret in self._vault.list_versions(PEPPER) if secret.is_valid(now)][:_MAX_PEPPERS]
        peppers = {}
        for secret in valid:
            version = str(secret.version)
            value = self._peppers.get(version) or self._vault.read(PEPPER, version)
            if value is not None and len(value.get_secret_value().encode()) >= MIN_PEPPER_BYTES:
                peppers[version] = value
        self._peppers = peppers
        if not peppers:
            raise SecretError(
                f"the Key Vault has no valid secret {PEPPER!r} of at least {MIN_PEPPER_BYTES} characters: create a key "
                "with `thale keys create --key-vault …`, or replace a shorter pepper"
            )
        return [value.get_secret_value().encode() for value in peppers.values()]
