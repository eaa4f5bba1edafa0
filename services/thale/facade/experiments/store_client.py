"""Calls of the experiment store in threads. The event loop never waits for the database or the disk.

The store is opened with its first call, in a thread: SQLAlchemy is slow to import, and a store that is down must
neither delay the start nor affect measurements without an experiment. A call after a failed opening tries again.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from thale.experiments.address import StoreAddress
from thale.facade.settings import FacadeSettings

if TYPE_CHECKING:
    from thale.experiments.store import ExperimentStore

_Result = TypeVar("_Result")
_THREADS = 4


def store_address(settings: FacadeSettings) -> StoreAddress | None:
    """Return the address of the store, or None if the facade stores no experiments."""
    if settings.experiments_path is None:
        return None
    return StoreAddress(
        settings.experiments_path,
        settings.experiments_database_url,
        settings.experiments_database_password_path,
        settings.experiments_blob_url,
        settings.experiments_database_entra,
        settings.experiments_database_ca_path,
    )


class StoreClient:
    """The store, called in threads."""

    def __init__(self, address: StoreAddress) -> None:
        self.address = address
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="experiments")
        self._lock = threading.Lock()
        self._store: ExperimentStore | None = None

    async def call(self, function: "Callable[[ExperimentStore], _Result]") -> _Result:
        """Run a function with the store in a thread, and return its result.

        Raises:
            ExperimentStoreError: If the store cannot be opened.
        """

        def run() -> _Result:
            return function(self._open())

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    def close(self) -> None:
        """Wait for the calls in progress, and close the store."""
        self._threads.shutdown(cancel_futures=True)
        if self._store is not None:
            self._store.close()

    def _open(self) -> "ExperimentStore":
        from thale.experiments.store import ExperimentStore

        with self._lock:
            if self._store is None:
                self._store = ExperimentStore.open(self.address)
            return self._store
