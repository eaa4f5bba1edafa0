"""Memory limit of a worker (docs/adr/0074-memory-of-a-predictor-is-bounded.md).

Without a limit, the kernel kills a process of the pod if an image needs more memory than the pod has. With the limit,
the allocation fails, the image gets an error, and the worker continues. If a library ends the process instead,
TorchServe starts a new worker.
"""

import logging
import resource
from pathlib import Path

logger = logging.getLogger(__name__)

_STATUS = Path("/proc/self/status")


def limit_memory_growth(growth_mib: int) -> None:
    """Limit the private memory of this process to its present size plus `growth_mib`. 0 sets no limit.

    The limit is relative, because the present size contains reserved memory that depends on the number of cores: the
    stacks and buffers of threads. It is RLIMIT_DATA, which does not count mapped files and libraries.
    """
    if growth_mib == 0 or not _STATUS.exists():
        return
    limit_bytes = _read_private_bytes() + growth_mib * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
    logger.info("memory limited", extra={"bytes": limit_bytes})


def _read_private_bytes() -> int:
    """Return VmData, the quantity that RLIMIT_DATA limits."""
    fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(fields["VmData"].split()[0]) * 1024
