"""Secrets in a file that only its owner can read, for the local platform.

    [name-of-a-secret]
    value = "…"
    expires = 2027-01-31T00:00:00Z   # optional

The file is read at each use, so an edit takes effect at once.
"""

import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, SecretStr, TypeAdapter, ValidationError

from thale.errors import SecretError, describe_validation_error
from thale.secrets.owner_only_file import read_owner_only, write_owner_only


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

    def values(self, *names: str, now: datetime) -> list[SecretStr]:
        """Return the values of those of the named secrets that exist and have not expired, in the given order.

        Raises:
            SecretError: If the file cannot be read, or other users can read it.
        """
        entries = self._read()
        selected = (entries[name] for name in names if name in entries)
        return [entry.value for entry in selected if entry.expires is None or entry.expires > now]

    def add(self, name: str, value: str) -> None:
        """Add a secret to the end of the file, which is created with mode 0600 if it does not exist.

        The caller holds a lock against other writers. `value` has no quotation marks, backslashes or line breaks.

        Raises:
            SecretError: If the secret exists, or the file cannot be read or written.
        """
        content = read_owner_only(self._path).decode() if self._path.exists() else ""
        if name in (self._read() if content else {}):
            raise SecretError(f"{self._path} already has a secret {name!r}")
        separator = "" if not content else "\n" if content.endswith("\n") else "\n\n"
        write_owner_only(self._path, f'{content}{separator}[{name}]\nvalue = "{value}"\n'.encode())

    def expiries(self) -> Mapping[str, datetime | None]:
        """Return the expiry of each secret, None for a secret without one.

        Raises:
            SecretError: If the file cannot be read, or other users can read it.
        """
        return {name: entry.expires for name, entry in self._read().items()}

    def _read(self) -> dict[str, _Entry]:
        text = read_owner_only(self._path)
        try:
            return _ENTRIES.validate_python(tomllib.loads(text.decode()))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SecretError(f"{self._path} is not valid TOML: {_error_location(error)}") from None
        except ValidationError as error:
            # No `from error`: the text of pydantic's error contains the invalid values.
            raise SecretError(f"{self._path} is not a table of secrets: {describe_validation_error(error)}") from None


def _error_location(error: UnicodeDecodeError | tomllib.TOMLDecodeError) -> str:
    """Return the position of an error without the content of the file."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not valid UTF-8"
    return str(error).partition("(")[2].rstrip(")") or "unexpected end of file"
