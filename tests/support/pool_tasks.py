"""Tasks for the pool, in a module of their own: another process must be able to import them."""

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
    """Return the versions that answered; where one is on trial, break like a measurement that its answer breaks."""
    if any(response.route.role == "canary" for response in responses):
        if failure_mode == "dies":
            kill_own_process()
        if failure_mode == "hangs":
            time.sleep(600)
        raise ZeroDivisionError("no such maps were ever seen")
    return [response.route.version for response in responses]
