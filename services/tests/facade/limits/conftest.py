"""Fixtures of the tests of caller limits: one Redis for all of them."""

from collections.abc import Iterator

import pytest

from tests.support.redis_process import RedisProcess, run_redis


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with run_redis(tmp_path_factory.mktemp("redis")) as process:
        yield process
