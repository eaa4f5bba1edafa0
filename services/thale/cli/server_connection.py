"""Which server a command talks to: the one that was named, the one that runs on this machine, or one of its own."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thale.client import Client
from thale.errors import ServerError, ServerUnreachableError
from thale.local.data_dir import DataDir, RunningPlatform
from thale.local.platform import Notify, serve

_MAX_RETRIES = 8  # about 45 s: a service that died on this machine is back by then
_START_TIMEOUT_S = 180.0
_ANY_FREE_PORT = 0


@contextmanager
def connect_running(url: str | None, home: Path | None) -> Iterator[Client]:
    """Give a client of the server that was named, or of the one that runs on this machine.

    Raises:
        ServerUnreachableError: If none runs.
    """
    if url is None:
        running = DataDir.resolve(home).find_running_platform()
        if running is None:
            raise ServerUnreachableError("no server runs here: start one with `thale up`, or name one with --server")
        url = running.url
    with Client(url) as client:
        yield client


@contextmanager
def connect_or_start(url: str | None, home: Path | None, weights: Path | None, notify: Notify) -> Iterator[Client]:
    """Give a client of a server that is ready: named, running already, or started for as long as the context lasts.

    Raises:
        LocalPlatformError: If none runs and none can be started, or the started one failed.
        ServerError: Whatever the body of the context meets.
    """
    if url is not None:
        with Client(url) as probe, Client(url, retries=_MAX_RETRIES) as client:
            probe.models()  # an address that is wrong is told at once, not after all the patience
            yield client
        return
    data_dir = DataDir.resolve(home)
    running = data_dir.find_running_platform()
    if running is not None and running.persistent:
        notify(f"using the server at {running.url}")
        with Client(running.url, retries=_MAX_RETRIES) as client:
            _wait_until_ready(client, running)
            yield client
        return
    with serve(data_dir, notify, port=_ANY_FREE_PORT, weights=weights, persistent=False) as platform:
        platform.wait_until_ready()
        with Client(platform.url, retries=_MAX_RETRIES) as client:
            try:
                yield client
            except ServerError:
                platform.raise_if_failed()  # why it does not answer, if that is known
                raise


def _wait_until_ready(client: Client, running: RunningPlatform) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not client.is_ready():
        if not running.is_alive() or time.monotonic() > deadline:
            raise ServerUnreachableError(f"the server at {running.url} does not get ready: look into its logs")
        time.sleep(0.1)
