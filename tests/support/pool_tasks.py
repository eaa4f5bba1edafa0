"""Tasks for the pool, in a module of their own: another process must be able to import them."""

import os
import signal
import time
from collections.abc import Sequence

from thale.errors import ImageTooSmallError
from thale.facade.upstream.model_response import Answer


def refuse() -> None:
    raise ImageTooSmallError(1, 2, 32)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stumble_on_canaries(answers: Sequence[Answer], how: str) -> list[str]:
    """Return the versions that answered; where one is on trial, break like a measurement that its answer breaks."""
    if any(answer.choice.role == "canary" for answer in answers):
        if how == "dies":
            die()
        if how == "hangs":
            time.sleep(600)
        raise ZeroDivisionError("no such maps were ever seen")
    return [answer.choice.version for answer in answers]
