"""Tests of readiness with model workers that are counted without a model server."""

import asyncio
from types import SimpleNamespace

import pytest

from tests.support.sample_releases import make_version
from thale.facade.status.health import Health
from thale.schemas import Release, ReleaseState

VERSIONS = {version: make_version(version) for version in ("1.0.0", "1.1.0")}
STATE = ReleaseState(
    models={
        "plate-seg": Release(task="segmentation", stable="1.0.0", versions=VERSIONS, canary="1.1.0", weight_percent=5.0)
    }
)


def health(workers: dict[str, int | None], *, scale_to_zero: bool = False) -> Health:
    async def count_ready_workers(_name: str, version: str, _url: str) -> int | None:
        return workers[version]

    async def wait_for_first() -> None:
        pass

    models = SimpleNamespace(count_ready_workers=count_ready_workers)
    probe = SimpleNamespace(wait_for_first=wait_for_first, failures=list, stable_routes=[])
    return Health(models, SimpleNamespace(current=lambda: STATE), probe, None, scale_to_zero=scale_to_zero)


@pytest.mark.parametrize(
    ("stable", "canary", "is_ready"), [(1, 1, True), (1, 0, True), (0, 1, False), (None, 1, False)]
)
def test_readiness_needs_a_worker_of_the_stable_version(stable: int | None, canary: int, is_ready: bool) -> None:
    """A version whose workers all failed is known to the model server, with 0 ready workers."""
    readiness = asyncio.run(health({"1.0.0": stable, "1.1.0": canary}).readiness())
    assert readiness.is_ready == is_ready
    assert readiness.is_version_ready("plate-seg", "1.0.0") == is_ready
    assert readiness.missing == (() if is_ready else ("plate-seg 1.0.0 has no ready worker",))


def test_readiness_needs_no_worker_with_scale_to_zero() -> None:
    readiness = asyncio.run(health({"1.0.0": 0, "1.1.0": 0}, scale_to_zero=True).readiness())
    assert readiness.is_ready
    assert not readiness.is_version_ready("plate-seg", "1.0.0")
