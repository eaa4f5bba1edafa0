"""Secrets in an Azure Key Vault, with the workload identity of a pod or the identity of `az login`."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Self

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient, SecretProperties
from pydantic import SecretStr

from thale.errors import SecretError

_VAULT_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]")
_VAULT_URL = re.compile(r"https://[a-zA-Z0-9.-]+(:\d+)?/?")
_CLIENT_OPTIONS = {"connection_timeout": 5, "read_timeout": 10, "retry_total": 2}
"""Options of each request to Entra and to the vault. By default Azure's clients wait five minutes to connect."""


@dataclass(frozen=True)
class SecretVersion:
    """Properties of a version of a secret, without its value."""

    name: str
    version: str | None
    """None in the list of all secrets, which has the current versions."""
    created: datetime
    updated: datetime
    is_enabled: bool
    expires: datetime | None

    @classmethod
    def from_properties(cls, properties: SecretProperties) -> Self:
        """Return the version with the properties that the client returns."""
        unknown = datetime.fromtimestamp(0, UTC)
        return cls(
            name=properties.name or "",
            version=properties.version,
            created=properties.created_on or unknown,
            updated=properties.updated_on or unknown,
            is_enabled=bool(properties.enabled),
            expires=properties.expires_on,
        )

    def is_valid(self, now: datetime) -> bool:
        """Return True if the version is enabled and has not expired."""
        return self.is_enabled and (self.expires is None or self.expires > now)


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

    def list_current(self) -> list[SecretVersion]:
        """Return the current version of each secret, without its value. This requires the role Key Vault Secrets User.

        Raises:
            SecretError: If the vault cannot be read.
        """
        with self._translate_errors("Key Vault Secrets User"):
            return [SecretVersion.from_properties(each) for each in self._client.list_properties_of_secrets()]

    def list_versions(self, name: str) -> list[SecretVersion]:
        """Return all versions of a secret without their values, newest first. The list is empty if it does not exist.

        Raises:
            SecretError: If the vault cannot be read.
        """
        with self._translate_errors("Key Vault Secrets User"):
            properties = self._client.list_properties_of_secret_versions(name)
            versions = [SecretVersion.from_properties(each) for each in properties]
        return sorted(versions, key=lambda version: version.created, reverse=True)

    def read(self, name: str, version: str | None = None) -> SecretStr | None:
        """Return the value of a version, by default the current one. Return None if it was removed or disabled.

        Raises:
            SecretError: If the vault cannot be read.
        """
        with self._translate_errors("Key Vault Secrets User"):
            try:
                secret = self._client.get_secret(name, version)
            except ResourceNotFoundError:
                return None
            except HttpResponseError as error:
                if error.status_code == HTTPStatus.FORBIDDEN and _is_disabled(error):
                    return None
                raise
        return SecretStr(secret.value or "")

    def write(self, name: str, value: str, expires: datetime | None = None) -> None:
        """Write a new version of a secret.

        Raises:
            SecretError: If the vault rejects it, or cannot be reached.
        """
        with self._translate_errors("Key Vault Secrets Officer"):
            self._client.set_secret(name, value, expires_on=expires)

    def expiries(self) -> Mapping[str, datetime | None]:
        """Return the expiry of each enabled secret, None without one. This requires the role Key Vault Reader.

        Raises:
            SecretError: If the vault cannot be read.
        """
        with self._translate_errors("Key Vault Reader"):
            return {
                secret.name: secret.expires_on
                for secret in self._client.list_properties_of_secrets()
                if secret.enabled and secret.name
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


def _is_disabled(error: HttpResponseError) -> bool:
    """Return True if the vault refused a disabled secret, and not this identity."""
    inner = getattr(error.error, "innererror", None) or {}
    return isinstance(inner, dict) and inner.get("code") == "SecretDisabled"
