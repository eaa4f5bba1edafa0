"""Tests of the limits of request bodies: number, memory, rate and which upload is ended for another."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest

from thale.errors import OverloadedError, UploadTimeoutError
from thale.facade.admission import uploads
from thale.facade.admission.uploads import BodyReservation, UploadLimiter
from thale.facade.settings import FacadeSettings


def make_limiter(**limits: float) -> UploadLimiter:
    return UploadLimiter(FacadeSettings(release_state_path=Path("state.json"), **limits))


async def stalled_body() -> AsyncIterator[bytes]:
    yield b"x"
    await asyncio.sleep(3600)


async def arrived_body(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def read_all(body: BodyReservation, chunks: AsyncIterator[bytes]) -> int:
    while await body.read(chunks) is not None:
        pass
    return body.received_bytes


@pytest.fixture
def immediate_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_MIN_AGE_S", 0.0)


def test_upload_limit_counts_only_arriving_bodies() -> None:
    async def scenario() -> None:
        limiter = make_limiter(max_uploads=1)
        with limiter.receive(4) as first:
            with pytest.raises(OverloadedError, match="1 uploads") as rejection, limiter.receive(4):
                pass
            assert rejection.value.retry_after_s == 5
            assert await read_all(first, arrived_body(b"ab", b"cd")) == 4
            with limiter.receive(4):
                pass

    asyncio.run(scenario())


def test_body_holds_its_declared_bytes_until_the_end() -> None:
    async def scenario() -> None:
        limiter = make_limiter(max_buffered_bytes=100)
        with limiter.receive(60) as first:
            await read_all(first, arrived_body(b"a" * 60))
            with pytest.raises(OverloadedError), limiter.receive(60):
                pass
        with limiter.receive(60):
            pass

    asyncio.run(scenario())


def test_body_of_unknown_length_reserves_what_arrives() -> None:
    async def scenario() -> None:
        limiter = make_limiter(max_buffered_bytes=100)
        with limiter.receive(60), limiter.receive(0) as chunked, pytest.raises(OverloadedError):
            await read_all(chunked, arrived_body(b"a" * 30, b"a" * 30))
        with limiter.receive(100):
            pass

    asyncio.run(scenario())


def test_single_body_above_the_memory_limit_is_accepted() -> None:
    with make_limiter(max_buffered_bytes=100).receive(1000):
        pass


@pytest.mark.usefixtures("immediate_end")
def test_slowest_upload_is_ended_for_a_new_one() -> None:
    async def scenario() -> None:
        limiter = make_limiter(max_uploads=2, max_buffered_bytes=200)
        with limiter.receive(100) as slow, limiter.receive(100) as faster:
            faster.received_bytes = 10
            reading = asyncio.ensure_future(read_all(slow, stalled_body()))
            await asyncio.sleep(0.01)
            with limiter.receive(100) as new:
                with pytest.raises(UploadTimeoutError, match="slowest"):
                    await reading
                assert await read_all(new, arrived_body(b"a" * 100)) == 100
            assert not faster._is_ended

    asyncio.run(scenario())


@pytest.mark.usefixtures("immediate_end")
def test_no_upload_is_ended_if_that_makes_no_room() -> None:
    async def scenario() -> None:
        limiter = make_limiter(max_buffered_bytes=200)
        with limiter.receive(150) as arrived, limiter.receive(10) as slow:
            await read_all(arrived, arrived_body(b"a" * 150))
            with pytest.raises(OverloadedError), limiter.receive(100):
                pass
            assert not slow._is_ended

    asyncio.run(scenario())


def test_fast_upload_is_never_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_MIN_AGE_S", 0.0)
    monkeypatch.setattr(uploads, "FAST_BYTES_PER_S", 0)

    async def scenario() -> None:
        limiter = make_limiter(max_uploads=1)
        with limiter.receive(4), pytest.raises(OverloadedError), limiter.receive(4):
            pass

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "limits", [{"upload_idle_timeout_s": 0.05}, {"upload_timeout_s": 0.05}], ids=["idle", "absolute"]
)
def test_stalled_upload_times_out(limits: dict[str, float]) -> None:
    async def scenario() -> None:
        with make_limiter(**limits).receive(100) as body, pytest.raises(UploadTimeoutError, match="1 bytes"):
            await within_ten_seconds(read_all(body, stalled_body()))

    asyncio.run(scenario())


def test_trickling_upload_is_below_the_minimum_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "GRACE_S", 0.2)

    async def trickle() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.02)

    async def scenario() -> None:
        with make_limiter().receive(10**6) as body, pytest.raises(UploadTimeoutError, match="too slowly"):
            await within_ten_seconds(read_all(body, trickle()))

    asyncio.run(scenario())


async def within_ten_seconds(result: Awaitable[int]) -> int:
    async with asyncio.timeout(10):
        return await result
