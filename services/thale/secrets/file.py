"""Secrets in a file that only its owner can read, for the local platform.

    [name-of-a-secret]
    value = "…"
    expires = 2027-01-31T00:00:00Z   # optional

The file is read at each use, so an edit takes effect at once.
"""

import os
import stat
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, SecretStr, TypeAdapter, ValidationError

from thale.errors import SecretError, describe_validation_error

_MAX_BYTES = 2**20
_GROUP_AND_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    value: SecretStr
    expires: AwareDatetime | None = None


_ENTRIES = TypeAdapter(dict[str, _Entry])


class FileSecrets:
    """The secrets in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def value(self, name: str) -> SecretStr:
        """Return the present value of a secret.

        Raises:
            SecretError: If the secret does not exist, the file cannot be read, or other users can read it.
        """
        entries = self._read()
        if name not in entries:
            raise SecretError(f"{self._path} has no secret {name!r}: add the table [{name}] with a value")
        return entries[name].value

    def expiries(self) -> Mapping[str, datetime]:
        """Return the expiry of each secret that has one.

        Raises:
            SecretError: If the file cannot be read, or other users can read it.
        """
        return {name: entry.expires for name, entry in self._read().items() if entry.expires is not None}

    def _read(self) -> dict[str, _Entry]:
        text = self._read_owner_only()
        try:
            return _ENTRIES.validate_python(tomllib.loads(text.decode()))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SecretError(f"{self._path} is not valid TOML: {_error_location(error)}") from None
        except ValidationError as error:
            # No `from error`: the text of pydantic's error contains the invalid values.
            raise SecretError(f"{self._path} is not a table of secrets: {describe_validation_error(error)}") from None

    def _read_owner_only(self) -> bytes:
        """Return the content of the file. Permissions are checked on the open file, not on its path."""
        try:
            handle = open(self._path, "rb", opener=_open_nonblocking)  # noqa: SIM115 (closed below)
        except OSError as error:
            raise SecretError(f"{self._path} cannot be read: {error.strerror}") from error
        with handle as file:
            file_stat = os.fstat(file.fileno())
            if not stat.S_ISREG(file_stat.st_mode):
                raise SecretError(f"{self._path} is not a regular file")
            if file_stat.st_uid != os.geteuid():
                raise SecretError(
                    f"{self._path} belongs to user {file_stat.st_uid}: run `chown {os.geteuid()} {self._path}`"
                )
            if file_stat.st_mode & _GROUP_AND_OTHERS:
                mode = stat.S_IMODE(file_stat.st_mode)
                raise SecretError(f"other users can access {self._path} (mode {mode:04o}): chmod 600 {self._path}")
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise SecretError(f"{self._path} exceeds the limit of {_MAX_BYTES} bytes")
        return data


def _open_nonblocking(path: str, flags: int) -> int:
    """Open a file without blocking, in case it is a pipe without a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _error_location(error: UnicodeDecodeError | tomllib.TOMLDecodeError) -> str:
    """Return the position of an error without the content of the file."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not valid UTF-8"
    return str(error).partition("(")[2].rstrip(")") or "unexpected end of file"
