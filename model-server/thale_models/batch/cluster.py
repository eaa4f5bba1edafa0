"""Dask cluster of a run: worker processes on this machine, or the scheduler at an address.

Dask's scheduler runs the code of everyone who can connect to it. The local one therefore accepts only connections with
a certificate that exists for this run, in memory.
"""

import logging
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import dask.config
from distributed import Client, LocalCluster, Worker, WorkerPlugin
from distributed.security import Security

from thale.errors import BatchEngineError, ParameterError
from thale.host.loopback import is_loopback
from thale.local.commands import MALLOC_ENVIRONMENT
from thale.local.worker_plan import WorkerPlan

_CONNECT_TIMEOUT_S = 20
_SCHEMES = ("tcp", "tls")
ONE_IMAGE = {"image": 1}
"""Resource of a worker. A task that needs it never waits at a worker, and is not blamed for its loss."""


class IgnoreInterrupt(WorkerPlugin):  # type: ignore[misc] # distributed has no types
    """Lets a worker process finish its image after Ctrl-C, which a terminal sends to all processes of a command.

    Dask would end the worker and start no other one, and its client would wait for the image without end.
    """

    def setup(self, worker: Worker) -> None:
        """Ignore the signal. Dask calls it in the main thread of the process, also after a restart."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def run_local_cluster(plan: WorkerPlan) -> Iterator[Client]:
    """Run worker processes on this machine for the duration of the context, and yield a client of them."""
    options = {
        "distributed.nanny.pre-spawn-environ": {**MALLOC_ENVIRONMENT, "OMP_NUM_THREADS": 1},
        "distributed.scheduler.allowed-failures": 3,
        "distributed.worker.daemon": True,
    }
    with (
        dask.config.set(options),
        tempfile.TemporaryDirectory(prefix="thale-batch-", ignore_cleanup_errors=True) as folder,
        LocalCluster(
            n_workers=plan.workers,
            threads_per_worker=1,
            resources=ONE_IMAGE,
            processes=True,
            host="127.0.0.1",
            protocol="tls",
            security=Security.temporary(),
            dashboard_address=None,
            worker_dashboard_address=None,
            silence_logs=logging.CRITICAL,
            local_directory=folder,
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(IgnoreInterrupt())
        yield client


@contextmanager
def connect(address: str) -> Iterator[Client]:
    """Yield a client of the scheduler at an address such as tls://host:8786.

    Raises:
        ParameterError: If the address is not one of a scheduler.
        BatchEngineError: If no scheduler responds.
    """
    check_address(address)
    try:
        client = Client(address, timeout=_CONNECT_TIMEOUT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise BatchEngineError(
            f"no scheduler responds at {address} ({error}): check that `dask scheduler` runs there, and for tls:// set "
            "the certificates (DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ..__CLIENT__CERT, ..__CLIENT__KEY)"
        ) from error
    with client:
        yield client


def check_address(address: str) -> None:
    """Check the address of a scheduler.

    Raises:
        ParameterError: If it has another form than tcp://HOST:PORT or tls://HOST:PORT.
    """
    try:
        url = urlsplit(address)
        is_complete = url.scheme in _SCHEMES and url.hostname and url.port and url.path == ""
    except ValueError:
        is_complete = False
    if not is_complete:
        raise ParameterError(f"{address!r} is not a scheduler: write it as tls://HOST:PORT or tcp://HOST:PORT")


def is_exposed(address: str) -> bool:
    """Return True if the connection to a scheduler is neither encrypted nor on this machine."""
    url = urlsplit(address)
    return url.scheme == "tcp" and not is_loopback(url.hostname or "")
