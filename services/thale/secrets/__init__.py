"""Secrets come from one source: Azure Key Vault in the cloud, a file that only its owner can read on a laptop.

A secret is no setting. It stands in no environment variable, no manifest, no log and no answer; whoever needs one asks
the source for it by name, at the moment of need, so that a new value is in use without a restart.
"""

import importlib.util
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from thale.errors import SecretError
from thale.secrets.file import FileSecrets

_AZURE_PACKAGES = ("azure", "azure.identity", "azure.keyvault", "azure.keyvault.secrets")

__all__ = ["FileSecrets", "Secrets", "open_secrets"]


class Secrets(Protocol):
    """Where secrets are kept."""

    def value(self, name: str) -> SecretStr:
        """Return a secret's present value.

        Raises:
            SecretError: If there is none of that name, or nothing can be read.
        """
        ...

    def expiries(self) -> Mapping[str, datetime]:
        """Return when each secret expires, of those in use that do. Reads no value.

        Raises:
            SecretError: If nothing can be read.
        """
        ...


def open_secrets(key_vault: str | None, file: Path | None) -> Secrets | None:
    """Return the source that was named, None where none was. Nothing is read yet.

    Args:
        key_vault: A Key Vault's name, or its address.
        file: A file of secrets (`file.FileSecrets`).

    Raises:
        SecretError: If both were named, the vault's name cannot be one, or the extra `azure` is not installed.
    """
    if key_vault is not None and file is not None:
        raise SecretError(f"secrets come from one source: the Key Vault {key_vault} or the file {file}, not both")
    if key_vault is not None:
        if any(importlib.util.find_spec(name) is None for name in _AZURE_PACKAGES):
            raise SecretError("Azure Key Vault needs more packages: pip install 'thale[azure]'")
        from thale.secrets.key_vault import KeyVaultSecrets  # of the extra `azure`

        return KeyVaultSecrets.from_vault(key_vault)
    return None if file is None else FileSecrets(file)
