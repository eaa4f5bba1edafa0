"""Memory of the worker processes on the largest images of every kind, with the limits of a facade.

The limit of a process is on the memory that it may allocate. The resident memory is at most that, and the libraries.
"""

import asyncio
from collections.abc import Callable

import pytest

from tests.support.large_images import EDGE_PX, KINDS, large_image
from tests.support.pool_tasks import draw_overlay, peak_memory_bytes, read_large_header
from thale.exports.overlay import LONG_SIDE_PX
from thale.facade.app import HEADER_MEMORY_BYTES
from thale.facade.deadline import Deadline
from thale.facade.postprocess.worker_pool import WorkerPool
from thale.facade.settings import FacadeSettings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OVERLAY_MEMORY_BYTES: int = FacadeSettings.model_fields["postprocess_memory_bytes"].default


def run(task: Callable[[bytes], tuple[int, int]], image: bytes, memory_bytes: int) -> tuple[int, int]:
    """Run a task in a new worker process. Returns its result, and the growth of the process's memory in bytes."""

    async def work() -> tuple[int, int]:
        pool = WorkerPool(1, memory_bytes)
        try:
            await pool.warm_up()
            before = await pool.run(Deadline.after(60), peak_memory_bytes)
            width, peak = await pool.run(Deadline.after(300), task, image)
            return width, peak - before
        finally:
            pool.close()

    return asyncio.run(work())


@pytest.mark.parametrize("kind", KINDS)
def test_worker_memory_holds_the_largest_images(kind: str) -> None:
    image = large_image(kind)
    width, header_growth = run(read_large_header, image, HEADER_MEMORY_BYTES)
    assert width == EDGE_PX
    width, growth = run(draw_overlay, image, OVERLAY_MEMORY_BYTES)
    assert width == LONG_SIDE_PX
    assert header_growth < HEADER_MEMORY_BYTES
    assert growth < OVERLAY_MEMORY_BYTES
