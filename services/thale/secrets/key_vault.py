"""Secrets in an Azure Key Vault, with the workload identity of a pod or the identity of `az login`."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Self

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient
from pydantic import SecretStr

from thale.errors import SecretError

_VAULT_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]")
_VAULT_URL = re.compile(r"https://[a-zA-Z0-9.-]+(:\d+)?/?")
_CLIENT_OPTIONS = {"connection_timeout": 5, "read_timeout": 10, "retry_total": 2}
"""Options of each request to Entra and to the vault. By default Azure's clients wait five minutes to connect."""


class KeyVaultSecrets:
    """The secrets of a vault."""

    def __init__(self, client: SecretClient) -> None:
        self._client = client

    @classmethod
    def from_vault(cls, vault: str) -> Self:
        """Return the secrets of a vault. No request is sent yet.

        Args:
            vault: Its name, or its address if that is not `https://NAME.vault.azure.net`.

        Raises:
            SecretError: If it is neither.
        """
        if _VAULT_NAME.fullmatch(vault):
            url = f"https://{vault}.vault.azure.net"
        elif _VAULT_URL.fullmatch(vault):
            url = vault
        else:
            raise SecretError(f"{vault!r} is not a Key Vault: use its name, or its address https://…")
        return cls(SecretClient(url, DefaultAzureCredential(**_CLIENT_OPTIONS), **_CLIENT_OPTIONS))

    def value(self, name: str) -> SecretStr:
        """Return the present value of a secret. This requires the role Key Vault Secrets User.

        Raises:
            SecretError: If the secret does not exist, or the vault cannot be read.
        """
        with self._translate_errors("Key Vault Secrets User"):
            try:
                secret = self._client.get_secret(name)
            except ResourceNotFoundError as error:
                raise SecretError(f"{self._client.vault_url} has no secret {name!r}: add it") from error
        return SecretStr(secret.value or "")

    def expiries(self) -> Mapping[str, datetime]:
        """Return the expiry of each enabled secret that has one. This requires the role Key Vault Reader.

        Raises:
            SecretError: If the vault cannot be read.
        """
        with self._translate_errors("Key Vault Reader"):
            return {
                secret.name: secret.expires_on
                for secret in self._client.list_properties_of_secrets()
                if secret.enabled and secret.name and secret.expires_on
            }

    @contextmanager
    def _translate_errors(self, role: str) -> Iterator[None]:
        """Raise errors of the vault and of the connection as a SecretError with the remedy."""
        url = self._client.vault_url
        try:
            yield
        except ClientAuthenticationError as error:
            raise SecretError(f"no credential for {url}: run `az login`, or run with a workload identity") from error
        except HttpResponseError as error:
            if error.status_code == HTTPStatus.FORBIDDEN:
                message = f"{url} rejected this identity: assign it the role {role} on the vault"
            else:
                message = f"{url} returned {error.status_code} ({error.reason}): try again"
            raise SecretError(message) from error
        except AzureError as error:
            raise SecretError(
                f"{url} cannot be reached ({error.message}): check the address and the network"
            ) from error
        except ValueError as error:  # Azure's client refuses to send a token to a server of another domain
            raise SecretError(f"{url} did not send the challenge of a Key Vault: {error}") from error
