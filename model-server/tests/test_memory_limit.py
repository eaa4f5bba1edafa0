"""Tests of a worker's memory limit, with processes of their own for the limit itself."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support import sample_images
from thale_models.handlers import request

PROGRAM = """
import sys
from thale_models.handlers.memory_limit import limit_memory_growth
limit_memory_growth(int(sys.argv[1]))
try:
    block = bytearray(int(sys.argv[2]) << 20)
except MemoryError:
    print("MemoryError")
else:
    print(len(block) >> 20)
print(len(bytearray(16 << 20)) >> 20)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("growth_mib", "block_mib", "outcome"),
    [(128, 64, "64"), (128, 256, "MemoryError"), (0, 256, "256")],
    ids=["below", "above", "without limit"],
)
def test_limit_memory_growth_fails_large_allocations_only(growth_mib: int, block_mib: int, outcome: str) -> None:
    command = [sys.executable, "-c", PROGRAM, str(growth_mib), str(block_mib)]
    completed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert completed.stdout.split() == [outcome, "16"]  # the process continues


class RecordedContext:
    """TorchServe's context of one request without headers."""

    system_properties: Mapping[str, Any] = {}
    status: tuple[int, str] = (200, "")

    def get_all_request_header(self, idx: int) -> Mapping[str, Any]:
        return {}

    def get_response_status(self, idx: int) -> tuple[int, str]:
        return self.status

    def set_response_header(self, idx: int, key: str, value: str) -> None: ...

    def set_response_content_type(self, idx: int, value: str) -> None: ...

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        self.status = (code, phrase)


def test_handle_batch_returns_500_when_memory_is_exhausted() -> None:
    def exhaust(item: request.DecodedRequest) -> request.HandlerResponse:
        raise MemoryError

    context = RecordedContext()
    [body] = request.handle_batch([{"body": sample_images.jpeg()}], context, exhaust)
    assert context.status[0] == 500
    assert "THALE_WORKER_MEMORY_GROWTH_MIB" in json.loads(body)["message"]
