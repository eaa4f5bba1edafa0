"""Worker tasks for tests, in a separate module that worker processes can import."""

import os
import signal
import time
from collections.abc import Sequence

from thale.errors import ImageTooSmallError
from thale.facade.upstream.model_response import ModelResponse


def raise_image_error() -> None:
    raise ImageTooSmallError(1, 2, 32)


def kill_own_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail_on_canary(responses: Sequence[ModelResponse], failure_mode: str) -> list[str]:
    """Return the versions of the responses, or fail in the given mode if one is a canary's."""
    if any(response.route.role == "canary" for response in responses):
        if failure_mode == "exit":
            kill_own_process()
        if failure_mode == "hang":
            time.sleep(600)
        raise ZeroDivisionError("injected fault")
    return [response.route.version for response in responses]


def block_alarm() -> None:
    """Ignore the alarm of the deadline, as code in C does."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(600)


def allocate(size_bytes: int) -> int:
    """Allocate and touch memory."""
    return len(bytearray(b"\1") * size_bytes)


def write_and_sleep(path: str) -> None:
    """Write the process id to a file, and sleep."""
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)


def wait_for_file(path: str) -> None:
    """Wait until a file exists, so that a test decides when the task ends."""
    while not os.path.exists(path):  # noqa: PTH110 (a Path costs more than the check)
        time.sleep(0.01)


def fail_unexpectedly() -> None:
    raise ZeroDivisionError("injected fault")
