"""Secrets in an Azure Key Vault, reached by identity alone: a pod's own in a cluster, that of `az login` on a desk."""

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
"""Of every question to Entra and to the vault; by default azure's clients wait five minutes to connect."""


class KeyVaultSecrets:
    """The secrets in a vault."""

    def __init__(self, client: SecretClient) -> None:
        self._client = client

    @classmethod
    def from_vault(cls, vault: str) -> Self:
        """Return the secrets of a vault. Nothing is asked yet.

        Args:
            vault: Its name, or its address where that is not `https://NAME.vault.azure.net`.

        Raises:
            SecretError: If it can be neither.
        """
        if _VAULT_NAME.fullmatch(vault):
            url = f"https://{vault}.vault.azure.net"
        elif _VAULT_URL.fullmatch(vault):
            url = vault
        else:
            raise SecretError(f"{vault!r} is no Key Vault: give its name, or its address https://…")
        return cls(SecretClient(url, DefaultAzureCredential(**_CLIENT_OPTIONS), **_CLIENT_OPTIONS))

    def value(self, name: str) -> SecretStr:
        """Return a secret's present value. It takes the role Key Vault Secrets User.

        Raises:
            SecretError: If there is none of that name, or the vault cannot be read.
        """
        with self._translate_errors("Key Vault Secrets User"):
            try:
                secret = self._client.get_secret(name)
            except ResourceNotFoundError as error:
                raise SecretError(f"{self._client.vault_url} has no secret {name!r}: put it in") from error
        return SecretStr(secret.value or "")

    def expiries(self) -> Mapping[str, datetime]:
        """Return when each secret in use expires, of those that do. The role Key Vault Reader is enough for it.

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
        """Raise what the vault or the way there makes impossible as a SecretError that says what to do."""
        url = self._client.vault_url
        try:
            yield
        except ClientAuthenticationError as error:
            raise SecretError(
                f"nobody is signed in who may ask {url}: run where a workload identity is, or sign in with `az login`"
            ) from error
        except HttpResponseError as error:
            if error.status_code == HTTPStatus.FORBIDDEN:
                message = f"{url} refuses this identity: give it the role {role} on the vault"
            else:
                message = f"{url} answered {error.status_code} ({error.reason}): try again"
            raise SecretError(message) from error
        except AzureError as error:
            raise SecretError(
                f"{url} cannot be reached ({error.message}): check the address and the network"
            ) from error
        except ValueError as error:  # so says azure's client where it is asked to send a token to a stranger
            raise SecretError(f"{url} does not ask for a token as a Key Vault does: {error}") from error
