"""API keys in a file that only its owner can read: the store of one machine.

The pepper is in `secrets.toml` of the same folder. A copy of either file alone does not verify keys.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from thale.auth.api_key import MIN_PEPPER_BYTES, generate_pepper
from thale.auth.key_store import PEPPER
from thale.auth.keyring import ApiKeyRecord, Keyring
from thale.errors import SecretError, describe_validation_error
from thale.host.files import open_locked
from thale.secrets.file import FileSecrets
from thale.secrets.owner_only_file import read_owner_only, write_owner_only

SECRETS_FILE = "secrets.toml"
PREVIOUS_PEPPER = "api-key-pepper-previous"
"""The pepper before a rotation. Its keys are valid until its `expires`."""

_MAX_PARSED_AGE_S = 60.0


class _KeyFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[ApiKeyRecord, ...] = ()


class ApiKeyFile:
    """The API keys in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._secrets = FileSecrets(path.with_name(SECRETS_FILE))
        self._last_read: tuple[object, float, Keyring] | None = None

    def read(self) -> Keyring:
        """Return all records and the valid peppers. Unchanged files are parsed once a minute, for expired peppers.

        Raises:
            SecretError: If a file is missing or invalid, or other users can access it.
        """
        state, now_s = self._file_state(), time.monotonic()
        if (
            self._last_read is not None
            and self._last_read[0] == state
            and now_s < self._last_read[1] + _MAX_PARSED_AGE_S
        ):
            return self._last_read[2]
        keyring = Keyring({record.id: record for record in self._read_records()}, self._peppers())
        self._last_read = (state, now_s, keyring)
        return keyring

    def ensure_pepper(self) -> bytes:
        """Return the newest pepper. Create it, and the folder, on first use.

        Raises:
            SecretError: If a file cannot be read or written.
        """
        secrets_path = self._path.with_name(SECRETS_FILE)
        with self._locked():
            if not secrets_path.exists() or not self._secrets.values(PEPPER, now=datetime.now(UTC)):
                self._secrets.add(PEPPER, generate_pepper())
        return self._peppers()[0]

    def put(self, record: ApiKeyRecord) -> None:
        """Add a record, or replace the one with its id.

        Raises:
            SecretError: If the file cannot be read or written.
        """
        with self._locked():
            records = {each.id: each for each in (self._read_records() if self._path.exists() else ())}
            key_file = _KeyFile(keys=tuple((records | {record.id: record}).values()))
            write_owner_only(self._path, key_file.model_dump_json(indent=1).encode() + b"\n")

    def _file_state(self) -> object:
        """Return a value that differs after each change of a file or of its permissions."""
        try:
            stats = [path.stat() for path in (self._path, self._path.with_name(SECRETS_FILE))]
        except OSError as error:
            raise SecretError(f"{error.filename} cannot be read: {error.strerror}") from error
        return [(each.st_ino, each.st_size, each.st_mtime_ns, each.st_ctime_ns) for each in stats]

    def _read_records(self) -> tuple[ApiKeyRecord, ...]:
        try:
            return _KeyFile.model_validate_json(read_owner_only(self._path)).keys
        except ValidationError as error:
            # No `from error`: the text of pydantic's error contains the invalid values.
            raise SecretError(f"{self._path} is not a list of API keys: {describe_validation_error(error)}") from None

    def _peppers(self) -> list[bytes]:
        values = self._secrets.values(PEPPER, PREVIOUS_PEPPER, now=datetime.now(UTC))
        peppers = [value.get_secret_value().encode() for value in values]
        if not peppers or any(len(pepper) < MIN_PEPPER_BYTES for pepper in peppers):
            raise SecretError(
                f"{self._path.with_name(SECRETS_FILE)} has no secret {PEPPER!r} of at least {MIN_PEPPER_BYTES} "
                "characters: create a key with `thale keys create`, or replace a shorter pepper"
            )
        return peppers

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Create the folder, and exclude other writers within the context."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock_fd = open_locked(self._path.with_name(f".{self._path.name}.lock"))
        except OSError as error:
            raise SecretError(
                f"{self._path.parent} cannot be written ({error.strerror}): choose another folder with --home"
            ) from error
        try:
            yield
        finally:
            os.close(lock_fd)
