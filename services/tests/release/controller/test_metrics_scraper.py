"""The facades' own /metrics, as prometheus_client writes and serves them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from prometheus_client import Histogram as PrometheusHistogram

from tests.support.sample_releases import release, version
from thale.monitoring.histogram import Binned
from thale.release.controller.metrics_scraper import Facades, Ledger, Reading, Scrape
from thale.release.judge.version_metrics import window_of
from thale.release.lifecycle import transitions

ANNA = transitions.Signature("anna", "a try", "2026-11-21T12:00:00+00:00")
BEFORE, AFTER = 1000.0, 2000.0


class Facade:
    """One facade's counters, and a server that shows them."""

    def __init__(self, started: float = BEFORE) -> None:
        self.registry = CollectorRegistry()
        labels = ["model", "version"]
        self.requests = Counter("thale_model_requests", "x", [*labels, "outcome"], registry=self.registry)
        self.fallbacks = Counter("thale_model_fallbacks", "x", [*labels, "reason"], registry=self.registry)
        self.plates = Counter("thale_output_plates", "x", labels, registry=self.registry)
        self.area = PrometheusHistogram(
            "thale_output_area_mm2", "x", [*labels, "organ"], buckets=(10, 100), registry=self.registry
        )
        self.dice = PrometheusHistogram("thale_shadow_dice", "x", [*labels, "organ"], buckets=(0.5, 1), registry=self.registry)
        self.seconds = PrometheusHistogram("thale_model_seconds", "x", labels, buckets=(0.1, 1), registry=self.registry)
        self.breaker = Gauge("thale_model_breaker_open", "x", labels, registry=self.registry)
        Gauge("process_start_time_seconds", "x", registry=self.registry).set(started)

    def answers(self, count: int, version: str = "1.1.0") -> None:
        self.requests.labels("plate-seg", version, "ok").inc(count)

    @contextmanager
    def served(self) -> Iterator[str]:
        server, thread = start_http_server(0, "127.0.0.1", registry=self.registry)
        try:
            yield f"http://127.0.0.1:{server.server_port}/metrics"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def read(*urls: str) -> Reading:
    return asyncio.run(Facades(urls, timeout_s=20).read())


def named(reading: Reading, name: str = "a") -> Reading:
    """Return a reading under a stable name, as if the facade had kept its address over a restart."""
    (scrape,) = reading.scrapes.values()
    return Reading({name: scrape}, {})


def ok(increment: object) -> int:
    assert isinstance(increment, dict)
    return increment["plate-seg", "1.1.0"].requests.get("ok", 0)


def test_everything_that_a_facade_tells_of_a_version_is_read() -> None:
    facade = Facade(AFTER)
    facade.answers(3)
    facade.fallbacks.labels("plate-seg", "1.1.0", "late").inc(2)
    facade.plates.labels("plate-seg", "1.1.0").inc(3)
    facade.breaker.labels("plate-seg", "1.1.0").set(1)
    for area in (10, 11, 5000):
        facade.area.labels("plate-seg", "1.1.0", "root").observe(area)
    facade.dice.labels("plate-seg", "1.1.0", "shoot").observe(0.9)
    facade.seconds.labels("plate-seg", "1.0.0").observe(0.5)
    with facade.served() as url:
        _, increment = Ledger(since=BEFORE).advance(read(url))
    on_trial = transitions.canary(release(), version("1.1.0"), ANNA)
    window = window_of(increment, on_trial)
    assert (window.canary.requests, window.canary.fallbacks) == ({"ok": 3}, {"late": 2})
    assert (window.canary.plates, window.canary.empty, window.canary.breakers_open) == (3, 0, 1)
    assert window.canary.histograms == {
        "root_area_mm2": Binned((10.0, 100.0), (1, 1, 1)),
        "agreement_dice_shoot": Binned((0.5, 1.0), (0, 1, 0)),
    }
    assert window.stable.histograms == {"seconds": Binned((0.1, 1.0), (0, 1, 0))}


def test_a_facade_that_was_there_before_has_grown_by_nothing_at_first() -> None:
    facade = Facade(BEFORE)
    facade.answers(100)
    with facade.served() as url:
        ledger, first = Ledger(since=AFTER).advance(read(url))
        facade.answers(2)
        _, second = ledger.advance(read(url))
    assert (ok(first), ok(second)) == (0, 2)


def test_a_facade_that_starts_anew_in_the_middle_loses_only_what_it_had_not_shown() -> None:
    facade, again = Facade(BEFORE), Facade(AFTER + 1)
    with facade.served() as url:
        facade.answers(5)
        ledger, _ = Ledger(since=AFTER).advance(named(read(url)))
        facade.answers(4)
        ledger, grown = ledger.advance(named(read(url)))
        assert ok(grown) == 4
    again.answers(7)
    with again.served() as url:
        ledger, grown = ledger.advance(named(read(url)))
        assert ok(grown) == 7
        again.answers(1)
        ledger, grown = ledger.advance(named(read(url)))
        assert ok(grown) == 1


def test_a_counter_that_falls_has_begun_anew_even_if_nobody_says_when() -> None:
    series = ("thale_model_requests_total", (("model", "plate-seg"), ("outcome", "ok"), ("version", "1.1.0")))
    before = Scrape(float("nan"), {series: 50.0})
    ledger = Ledger(since=AFTER, scrapes={"a": before})
    _, grown = ledger.advance(Reading({"a": Scrape(float("nan"), {series: 6.0})}, {}))
    assert ok(grown) == 6


def test_facades_are_summed_and_one_that_comes_later_counts_from_zero() -> None:
    old, new = Facade(BEFORE), Facade(AFTER + 5)
    old.answers(10)
    new.answers(3)
    with old.served() as one, new.served() as two:
        ledger, _ = Ledger(since=AFTER).advance(read(one))
        old.answers(2)
        _, grown = ledger.advance(read(one, two))
    assert ok(grown) == 2 + 3


def test_a_facade_that_is_away_is_named_and_counted_on_when_it_comes_back() -> None:
    facade = Facade(BEFORE)
    with facade.served() as url:
        ledger, _ = Ledger(since=AFTER).advance(named(read(url)))
    facade.answers(4)
    away = read(url)
    assert list(away.missing) == [url]
    assert "does not answer" in away.missing[url]
    ledger, nothing = ledger.advance(away)
    assert nothing == {}
    with facade.served() as url:
        _, grown = ledger.advance(named(read(url)))
    assert ok(grown) == 4


def test_bins_that_differ_between_facades_are_left_out_rather_than_mixed() -> None:
    def scrape(edges: tuple[str, ...], counts: tuple[float, ...]) -> Scrape:
        labels = (("model", "plate-seg"), ("version", "1.1.0"))
        name = "thale_model_seconds_bucket"
        rows = zip(edges, counts, strict=True)
        return Scrape(AFTER, {(name, tuple(sorted((*labels, ("le", edge))))): count for edge, count in rows})

    reading = Reading({"a": scrape(("0.1", "+Inf"), (5, 5)), "b": scrape(("1.0", "+Inf"), (1, 5))}, {})
    _, grown = Ledger(since=BEFORE).advance(reading)
    assert grown["plate-seg", "1.1.0"].histograms == {}


@pytest.mark.parametrize("text", [b"<html>", b"thale_model_requests_total{ 3", b"\xff\xfe"])
def test_what_is_no_metrics_is_said_so(text: bytes) -> None:
    async def serve_and_read() -> Reading:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + text)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await Facades([f"http://127.0.0.1:{port}/metrics"], timeout_s=20).read()

    reading = asyncio.run(serve_and_read())
    assert not reading.scrapes
    assert "something else than metrics" in next(iter(reading.missing.values()))


def test_a_name_that_nobody_knows_is_named() -> None:
    reading = read("http://facade.invalid:9090/metrics")
    assert "its name" in reading.missing["http://facade.invalid:9090/metrics"]
