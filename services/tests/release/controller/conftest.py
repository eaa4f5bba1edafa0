"""Fixtures of the controller's tests: a fake facade, and a controller that scrapes it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.controller_harness import ControllerHarness
from tests.support.fake_facade import FakeFacade, run_fake_facade


@pytest.fixture
def facade() -> Iterator[FakeFacade]:
    with run_fake_facade() as running:
        yield running


@pytest.fixture
def harness(tmp_path: Path, facade: FakeFacade) -> Iterator[ControllerHarness]:
    with asyncio.Runner() as runner:
        harness = ControllerHarness(tmp_path, [facade], runner)
        yield harness
        harness.lease.release()
