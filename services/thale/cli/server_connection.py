"""Server of a command: an explicit address, the local platform, or a platform started for the command."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from thale.client import Client
from thale.errors import MissingPackageError, ServerError, ServerUnreachableError

if TYPE_CHECKING:
    from thale.local.data_dir import RunningPlatform
    from thale.local.platform import Notify

_MAX_RETRIES = 8  # about 45 s, longer than the restart of a service on this machine
_START_TIMEOUT_S = 180.0
_ANY_FREE_PORT = 0


@contextmanager
def connect_running(url: str | None, home: Path | None) -> Iterator[Client]:
    """Yield a client of a server address, or of the local platform.

    Raises:
        ServerUnreachableError: If no local platform is running.
        MissingPackageError: If only the client is installed, and no address is given.
    """
    if url is None:
        try:
            from thale.local.data_dir import DataDir
        except ModuleNotFoundError as error:
            raise MissingPackageError(
                "this installation is the client alone, without a local platform: pass a server address with --server, "
                "or install the platform with pip install 'thale[models]'"
            ) from error
        running = DataDir.resolve(home).find_running_platform()
        if running is None:
            raise ServerUnreachableError(
                "no local platform is running: start one with `thale up`, or pass a server address with --server"
            )
        url = running.url
    with Client(url) as client:
        yield client


@contextmanager
def connect_or_start(url: str | None, home: Path | None, weights: Path | None, notify: "Notify") -> Iterator[Client]:
    """Yield a client of a ready server: an explicit address, the local platform, or one started for this context.

    Raises:
        LocalPlatformError: If the local platform cannot start, or the started one failed.
        ServerError: If the server fails in the body of the context.
    """
    if url is not None:
        with Client(url) as probe, Client(url, retries=_MAX_RETRIES) as client:
            probe.models()  # a wrong address fails now, without retries
            yield client
        return
    from thale.local.data_dir import DataDir
    from thale.local.platform import serve

    data_dir = DataDir.resolve(home)
    running = data_dir.find_running_platform()
    if running is not None and running.persistent:
        notify(f"using the server at {running.url}")
        with Client(running.url, retries=_MAX_RETRIES) as client:
            _wait_until_ready(client, running)
            client.models()  # a missing API key fails now, and not once for each image
            yield client
        return
    with serve(data_dir, notify, port=_ANY_FREE_PORT, weights=weights, persistent=False) as platform:
        platform.wait_until_ready()
        with Client(platform.url, retries=_MAX_RETRIES) as client:
            client.models()
            try:
                yield client
            except ServerError:
                platform.raise_if_failed()  # the cause of the failure, if known
                raise


def _wait_until_ready(client: Client, running: "RunningPlatform") -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not client.is_ready():
        if not running.is_alive() or time.monotonic() > deadline:
            raise ServerUnreachableError(
                f"the server at {running.url} is not ready after {_START_TIMEOUT_S:g} s or has stopped: check its logs"
            )
        time.sleep(0.1)
