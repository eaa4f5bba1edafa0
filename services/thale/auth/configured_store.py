"""The configured store of API keys."""

from pathlib import Path

from thale.auth.key_file import ApiKeyFile
from thale.auth.key_store import ApiKeyStore
from thale.secrets import require_azure_packages


def open_store(key_vault: str | None, file: Path) -> ApiKeyStore:
    """Return the store in a Key Vault, or in a file if no vault is given. Nothing is read yet.

    Args:
        key_vault: Name or address of a Key Vault.
        file: The file of API key records.

    Raises:
        SecretError: If the name of the vault is not valid, or the extra `azure` is not installed.
    """
    if key_vault is None:
        return ApiKeyFile(file)
    require_azure_packages()
    # Of the extra `azure`:
    from thale.auth.key_vault_store import ApiKeyVault
    from thale.secrets.key_vault import KeyVaultSecrets

    return ApiKeyVault(KeyVaultSecrets.from_vault(key_vault))
