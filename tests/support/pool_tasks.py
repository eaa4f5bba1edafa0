"""Worker tasks for tests, in a separate module that worker processes can import."""

import io
import os
import resource
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


def draw_overlay(image: bytes) -> tuple[int, int]:
    """Draw the overlay of an image as the facade does. Returns its width, and the peak memory in bytes."""
    from PIL import Image

    from tests.support.sample_phenotypes import phenotype
    from thale.exports import overlay
    from thale.imaging.image_io import decode_reduced, read_header

    photo = decode_reduced(image, None, overlay.MIN_SOURCE_PX)
    drawn = overlay.draw(photo, phenotype(image=read_header(image), plate=None))
    width, _ = Image.open(io.BytesIO(drawn)).size
    return width, peak_memory_bytes()


def read_large_header(image: bytes) -> tuple[int, int]:
    """Read a header as the facade does. Returns the image's width, and the peak memory in bytes."""
    from thale.imaging.image_io import read_header

    return read_header(image).width, peak_memory_bytes()


def peak_memory_bytes() -> int:
    """Return the peak of the resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
