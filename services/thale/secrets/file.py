"""Secrets in a file that only its owner can read: a laptop's source.

    [name-of-a-secret]
    value = "…"
    expires = 2027-01-31T00:00:00Z   # if it does

It is read anew each time, so an edit is in use at once.
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
        """Return a secret's present value.

        Raises:
            SecretError: If there is none of that name, or the file cannot be read, or others could read it.
        """
        entries = self._read()
        if name not in entries:
            raise SecretError(f"{self._path} has no secret {name!r}: add it as [{name}] with its value")
        return entries[name].value

    def expiries(self) -> Mapping[str, datetime]:
        """Return when each secret expires, of those that do.

        Raises:
            SecretError: If the file cannot be read, or others could read it.
        """
        return {name: entry.expires for name, entry in self._read().items() if entry.expires is not None}

    def _read(self) -> dict[str, _Entry]:
        text = self._read_owner_only()
        try:
            return _ENTRIES.validate_python(tomllib.loads(text.decode()))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SecretError(f"{self._path} is no TOML: {_error_location(error)}") from None
        except ValidationError as error:
            # No `from error`: the text of pydantic's error contains the invalid values.
            raise SecretError(f"{self._path} is no table of secrets ({describe_validation_error(error)})") from None

    def _read_owner_only(self) -> bytes:
        """Return what is in the file. Its rights are those of the file that was opened, not of a name."""
        try:
            handle = open(self._path, "rb", opener=_open_nonblocking)  # noqa: SIM115 (closed below)
        except OSError as error:
            raise SecretError(f"{self._path} cannot be read: {error.strerror}") from error
        with handle as file:
            file_stat = os.fstat(file.fileno())
            if not stat.S_ISREG(file_stat.st_mode):
                raise SecretError(f"{self._path} is no file")
            if file_stat.st_uid != os.geteuid():
                raise SecretError(
                    f"{self._path} belongs to somebody else (user {file_stat.st_uid}): it must be yours alone"
                )
            if file_stat.st_mode & _GROUP_AND_OTHERS:
                mode = stat.S_IMODE(file_stat.st_mode)
                raise SecretError(f"others can get at {self._path} (mode {mode:04o}): chmod 600 {self._path}")
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise SecretError(f"{self._path} has more than {_MAX_BYTES} bytes: that is no file of secrets")
        return data


def _open_nonblocking(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody writes to as well."""
    return os.open(path, flags | os.O_NONBLOCK)


def _error_location(error: UnicodeDecodeError | tomllib.TOMLDecodeError) -> str:
    """Return what is wrong without a word of what stands there."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is no UTF-8"
    return str(error).partition("(")[2].rstrip(")") or "it ends too soon"
