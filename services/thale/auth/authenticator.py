"""Authenticator: the caller of a credential, which is an API key or a token of Entra ID."""

from datetime import UTC, datetime
from typing import Literal

from thale.auth import api_key
from thale.auth.entra import EntraTokens
from thale.auth.keyring import Keyring
from thale.auth.last_known_value import LastKnownValue
from thale.auth.principal import Principal
from thale.errors import UnauthenticatedError

Method = Literal["api_key", "token", "none"]


def credential_method(credential: str) -> Method:
    """Return the kind of a credential, by its prefix."""
    return "api_key" if credential.startswith(api_key.PREFIX) else "token"


class Authenticator:
    """Verifies credentials against the configured sources."""

    def __init__(self, api_keys: LastKnownValue[Keyring] | None, tokens: EntraTokens | None) -> None:
        self._api_keys = api_keys
        self._tokens = tokens

    def is_available(self) -> bool:
        """Return True if at least one source of credentials has values, so that some callers can be served."""
        sources = [self._api_keys, None if self._tokens is None else self._tokens.signing_keys]
        return any(source is not None and source.is_known() for source in sources)

    async def authenticate(self, credential: str) -> Principal:
        """Return the caller of a credential.

        Raises:
            UnauthenticatedError: If the credential is not valid.
            AuthenticationUnavailableError: If no credential can be verified at present.
        """
        if credential_method(credential) == "api_key":
            if self._api_keys is None:
                raise UnauthenticatedError("this server accepts no API keys: send a token", reason="unsupported")
            return self._api_keys.get().authenticate(credential, datetime.now(UTC))
        if self._tokens is None:
            raise UnauthenticatedError("this server accepts no tokens: send an API key", reason="unsupported")
        return await self._tokens.authenticate(credential)
