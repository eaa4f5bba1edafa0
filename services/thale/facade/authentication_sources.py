"""Sources of credentials of the facade, from its settings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from thale.auth.authenticator import Authenticator
from thale.auth.configured_store import open_store
from thale.auth.entra import EntraTokens
from thale.auth.last_known_value import LastKnownValue, RefreshSchedule
from thale.auth.signing_keys import SigningKeySource
from thale.facade.settings import FacadeSettings

_Value = TypeVar("_Value")

_FILE_INTERVAL_S = 1.0
_RETRY_S = 10.0
_SIGNING_KEYS_INTERVAL_S = 3600.0
"""Entra ID publishes new keys about a day before it signs with them, and a token with an unknown key causes a read."""
_START_TIMEOUT_S = 3.0
"""Wait for the first read at the start. Until a source was read, requests get 503."""


@asynccontextmanager
async def open_authenticator(settings: FacadeSettings) -> AsyncIterator[Authenticator | None]:
    """Read the configured sources within the context. Yield None if none is configured.

    Raises:
        SecretError: If the name of the Key Vault is not valid, or the extra `azure` is not installed.
    """
    if not settings.requires_authentication:
        yield None
        return
    with ExitStack() as stack:
        api_keys = tokens = None
        if settings.api_keys_path is not None or settings.key_vault is not None:
            store = open_store(settings.key_vault, settings.api_keys_path or Path())
            api_keys = LastKnownValue("api_keys", store.read, _key_schedule(settings))
            await _start(stack, api_keys)
        if settings.entra_tenant_id is not None and settings.entra_audience is not None:
            source = SigningKeySource(settings.entra_authority, settings.entra_tenant_id)
            schedule = RefreshSchedule(_SIGNING_KEYS_INTERVAL_S, _RETRY_S, settings.credentials_max_age_s)
            signing_keys = LastKnownValue("entra_keys", source.read, schedule)
            await _start(stack, signing_keys)
            tokens = EntraTokens(signing_keys, settings.entra_tenant_id, settings.entra_audience)
        yield Authenticator(api_keys, tokens)


async def _start(stack: ExitStack, value: LastKnownValue[_Value]) -> None:
    """Start to read a source, and wait for its first read."""
    stack.enter_context(value.running())
    await asyncio.wait([asyncio.wrap_future(value.first_read)], timeout=_START_TIMEOUT_S)


def _key_schedule(settings: FacadeSettings) -> RefreshSchedule:
    if settings.key_vault is None:
        return RefreshSchedule(_FILE_INTERVAL_S, _FILE_INTERVAL_S, settings.credentials_max_age_s)
    interval_s = settings.key_vault_interval_s
    return RefreshSchedule(interval_s, min(interval_s, _RETRY_S), settings.credentials_max_age_s)
