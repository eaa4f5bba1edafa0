"""3,000 generated hostile requests: no 5xx, bounded memory, and the same measurement afterwards."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.support import sample_images
from tests.support.hostile_requests import MutatedRequest, hostile_requests
from tests.support.running_facade import Facade, running_facade
from thale.facade.settings import FacadeSettings

pytestmark = [pytest.mark.integration, pytest.mark.exclusive]

COUNT = 3000
SEED = 12
MAX_GROWTH_BYTES = 300 * 2**20
MAX_RESPONSE_BYTES = 20_000


def measure(facade: Facade) -> object:
    reply = facade.phenotype(sample_images.png(), "mm_per_px=0.25&experiment=hostile")
    assert reply.status == 200, reply.body
    document = reply.json
    return {key: value for key, value in document.items() if key not in ("timings", "provenance")}


def memory_bytes() -> int:
    """Memory of this process, which serves the facade, and of its worker processes."""
    process = psutil.Process()
    workers = [child for child in process.children(recursive=True) if "multiprocessing" in " ".join(child.cmdline())]
    return sum(member.memory_info().rss for member in (process, *workers))


@pytest.mark.timeout(600)
def test_hostile_requests_neither_break_nor_fill_the_facade(settings: FacadeSettings) -> None:
    unlimited = {"caller_rate_per_s": 10_000.0, "caller_burst": 1_000_000, "caller_concurrency": 100}
    with running_facade(settings.model_copy(update=unlimited)) as facade:
        expected = measure(facade)
        before = memory_bytes()
        failures: list[tuple[int, MutatedRequest, bytes]] = []
        statuses: Counter[int] = Counter()

        def send(request: MutatedRequest) -> None:
            reply = facade.request("POST", request.path, request.body, **request.headers)
            statuses[reply.status] += 1
            if reply.status >= 500:
                failures.append((reply.status, request, reply.body))
            if reply.status != 200:
                assert len(reply.body) < MAX_RESPONSE_BYTES

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(send, hostile_requests(COUNT, SEED)))
        assert failures == []
        assert sum(statuses.values()) == COUNT
        assert statuses[422] > COUNT // 10
        assert memory_bytes() - before < MAX_GROWTH_BYTES
        assert measure(facade) == expected
        assert facade.get("/health/ready").status == 200
