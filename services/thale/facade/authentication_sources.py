"""Sources of credentials of the facade, from its settings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from thale.auth.authenticator import Authenticator
from thale.auth.key_file import ApiKeyFile
from thale.auth.key_store import ApiKeyStore
from thale.auth.last_known_value import LastKnownValue, RefreshSchedule
from thale.facade.settings import FacadeSettings

_FILE_INTERVAL_S = 1.0
_START_TIMEOUT_S = 3.0
"""Wait for the first read at the start. Without a credential source after it, requests get 503 until there is one."""


@asynccontextmanager
async def open_authenticator(settings: FacadeSettings) -> AsyncIterator[Authenticator | None]:
    """Read the configured sources within the context. Yield None if none is configured."""
    if settings.api_keys_path is None:
        yield None
        return
    store: ApiKeyStore = ApiKeyFile(settings.api_keys_path)
    schedule = RefreshSchedule(_FILE_INTERVAL_S, _FILE_INTERVAL_S, settings.credentials_max_age_s)
    api_keys = LastKnownValue("api_keys", store.read, schedule)
    with api_keys.running():
        await asyncio.wait([asyncio.wrap_future(api_keys.first_read)], timeout=_START_TIMEOUT_S)
        yield Authenticator(api_keys)
