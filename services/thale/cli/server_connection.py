"""Which server a command talks to: the one that was named, the one that runs on this machine, or one of its own."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thale.client import Client
from thale.errors import ServerError, ServerUnreachableError
from thale.local.data_dir import Home, Running
from thale.local.platform import Say, serve

_RETRIES = 8  # about 45 s: a service that died on this machine is back by then
_START_LIMIT_S = 180.0
_ANY_FREE_PORT = 0


@contextmanager
def running_server(url: str | None, home: Path | None) -> Iterator[Client]:
    """Give a client of the server that was named, or of the one that runs on this machine.

    Raises:
        ServerUnreachableError: If none runs.
    """
    if url is None:
        running = Home.at(home).running()
        if running is None:
            raise ServerUnreachableError("no server runs here: start one with `thale up`, or name one with --server")
        url = running.url
    with Client(url) as client:
        yield client


@contextmanager
def any_server(url: str | None, home: Path | None, weights: Path | None, say: Say) -> Iterator[Client]:
    """Give a client of a server that is ready: named, running already, or started for as long as the context lasts.

    Raises:
        LaptopError: If none runs and none can be started, or the started one failed.
        ServerError: Whatever the body of the context meets.
    """
    if url is not None:
        with Client(url) as first, Client(url, retries=_RETRIES) as client:
            first.models()  # an address that is wrong is told at once, not after all the patience
            yield client
        return
    place = Home.at(home)
    running = place.running()
    if running is not None and running.lasting:
        say(f"using the server at {running.url}")
        with Client(running.url, retries=_RETRIES) as client:
            _wait_until_ready(client, running)
            yield client
        return
    with serve(place, say, port=_ANY_FREE_PORT, weights=weights, lasting=False) as instance:
        instance.wait_until_ready()
        with Client(instance.url, retries=_RETRIES) as client:
            try:
                yield client
            except ServerError:
                instance.check()  # why it does not answer, if that is known
                raise


def _wait_until_ready(client: Client, running: Running) -> None:
    until = time.monotonic() + _START_LIMIT_S
    while not client.ready():
        if not running.alive() or time.monotonic() > until:
            raise ServerUnreachableError(f"the server at {running.url} does not get ready: look into its logs")
        time.sleep(0.1)
