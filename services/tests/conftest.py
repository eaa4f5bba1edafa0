"""What the tests of the command line and the client share: one `thale up` with tiny models."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from running_thale import Platform, running_platform, write_weights


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("home"), weights) as running:
        yield running
