"""Caller limits of running facades with API keys: the order of checks, two facades with one Redis, a killed Redis."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from tests.support import sample_images
from tests.support.redis_process import RedisProcess, run_redis
from tests.support.running_facade import Facade, Reply, running_facade
from thale.auth.key_file import ApiKeyFile
from thale.auth.key_store import create_key
from thale.facade.settings import FacadeSettings
from thale.schemas import ReleaseState

pytestmark = pytest.mark.integration

BURST = 6
ROUTES = ["/v1/phenotype", "/v1/segment", "/v1/landmarks", "/v2/models/plate-seg/infer"]


@dataclass(frozen=True)
class Caller:
    """A caller of a facade, with its API key."""

    facade: Facade
    key: str

    def post(self, path: str = "/v1/phenotype", body: bytes = b"not an image") -> Reply:
        return self.facade.post(path, body, Authorization=f"Bearer {self.key}")


@contextmanager
def limited_facade(folder: Path, **fields: object) -> Iterator[Facade]:
    """Run a facade without models, in which a caller has six requests and no more for hours."""
    state_path = folder / "release-state.json"
    state_path.write_text(ReleaseState(models={}).model_dump_json())
    settings = FacadeSettings(
        release_state_path=state_path,
        metrics_port=0,
        model_url="http://127.0.0.1:9",
        management_url="http://127.0.0.1:9",
        postprocess_workers=1,
        api_keys_path=folder / "api-keys.json",
        caller_rate_per_s=0.0001,
        caller_burst=BURST,
        caller_daily_megapixels=1,
        **fields,
    )
    with running_facade(settings) as facade:
        yield facade


@contextmanager
def facade_with_redis(folder: Path, redis: RedisProcess) -> Iterator[Facade]:
    with limited_facade(
        folder,
        limit_store_url=redis.url,
        limit_store_password_path=redis.password_path,
        limit_store_timeout_s=5,
    ) as facade:
        yield facade


def create_callers(folder: Path, count: int) -> list[str]:
    store = ApiKeyFile(folder / "api-keys.json")
    return [
        create_key(store, f"lab-{index}", frozenset({"predict"}), timedelta(days=1), datetime.now(UTC))[0].text
        for index in range(count)
    ]


@pytest.mark.parametrize("path", ROUTES)
def test_limits_apply_after_authentication(tmp_path: Path, path: str) -> None:
    [key] = create_callers(tmp_path, 1)
    with limited_facade(tmp_path) as facade:
        for _ in range(BURST + 1):  # requests without a credential do not count
            reply = facade.post(path, b"x")
            assert (reply.status, "ratelimit" in reply.headers) == (401, False)
        replies = [Caller(facade, key).post(path) for _ in range(BURST + 1)]
    assert [reply.status for reply in replies[:-1]] == [replies[0].status] * BURST
    assert replies[0].status in (404, 415)
    assert '"rate";r=5' in replies[0].headers["ratelimit"]
    assert replies[-1].status == 429
    assert int(replies[-1].headers["retry-after"]) > 9000
    assert '"rate";q=6' in replies[-1].headers["ratelimit-policy"]


def test_image_above_the_budget_is_rejected_before_decoding(tmp_path: Path) -> None:
    [key] = create_callers(tmp_path, 1)
    image = sample_images.encode(Image.new("RGB", (1200, 1000)), "PNG")
    with limited_facade(tmp_path) as facade:
        caller = Caller(facade, key)
        rejected = caller.post(body=image)
        assert (rejected.status, rejected.problem) == (429, "rate-limited")
        assert "daily-megapixels" in rejected.json["detail"]
        accepted = caller.post(body=sample_images.jpeg())
        assert (accepted.status, accepted.problem) == (503, "model-unavailable")
        assert '"daily-megapixels";r=1' in accepted.headers["ratelimit"]


def test_two_facades_with_one_redis_share_the_limits(tmp_path: Path) -> None:
    keys = create_callers(tmp_path, 2)
    with (
        run_redis(tmp_path / "redis") as redis,
        facade_with_redis(tmp_path, redis) as first,
        facade_with_redis(tmp_path, redis) as second,
    ):
        statuses = [Caller((first, second)[index % 2], keys[0]).post().status for index in range(BURST + 4)]
        assert statuses == [415] * BURST + [429] * 4
        assert Caller(second, keys[1]).post().status == 415


def test_facade_serves_while_redis_is_down_and_recovers(tmp_path: Path) -> None:
    keys = create_callers(tmp_path, 3)
    with run_redis(tmp_path / "redis") as redis, facade_with_redis(tmp_path, redis) as facade:
        caller = Caller(facade, keys[0])
        assert [caller.post().status for _ in range(3)] == [415] * 3
        redis.kill()
        # The limits in process start with a full bucket.
        assert [caller.post().status for _ in range(BURST + 1)] == [415] * BURST + [429]
        redis.start()
        deadline = time.monotonic() + 60
        while caller.post().status == 429:  # the new Redis is empty
            assert time.monotonic() < deadline, "the facade did not use Redis again"
            time.sleep(0.2)
        assert [Caller(facade, keys[1]).post().status for _ in range(BURST + 1)] == [415] * BURST + [429]
