"""Secrets from one source: Azure Key Vault, or a file that only its owner can read.

A secret is not a setting. No environment variable, manifest, log or response contains one. The caller reads it by name
at each use, so that a new value takes effect without a restart.
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

__all__ = ["FileSecrets", "Secrets", "open_secrets", "require_azure_packages"]


class Secrets(Protocol):
    """A source of secrets."""

    def value(self, name: str) -> SecretStr:
        """Return the present value of a secret.

        Raises:
            SecretError: If the secret does not exist, or the source cannot be read.
        """
        ...

    def expiries(self) -> Mapping[str, datetime | None]:
        """Return the expiry of each enabled secret, None for a secret without one. No value is read.

        Raises:
            SecretError: If the source cannot be read.
        """
        ...


def require_azure_packages() -> None:
    """Check that the extra `azure` is installed.

    Raises:
        SecretError: If it is not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in _AZURE_PACKAGES):
        raise SecretError("Azure Key Vault requires the Azure packages: pip install 'thale[azure]'")


def open_secrets(key_vault: str | None, file: Path | None) -> Secrets | None:
    """Return the configured source, None if none is configured. Nothing is read yet.

    Args:
        key_vault: Name or address of a Key Vault.
        file: A file of secrets (`file.FileSecrets`).

    Raises:
        SecretError: If both are given, the name of the vault is not valid, or the extra `azure` is not installed.
    """
    if key_vault is not None and file is not None:
        raise SecretError(f"two sources of secrets: configure the Key Vault {key_vault} or the file {file}")
    if key_vault is not None:
        require_azure_packages()
        from thale.secrets.key_vault import KeyVaultSecrets  # of the extra `azure`

        return KeyVaultSecrets.from_vault(key_vault)
    return None if file is None else FileSecrets(file)
