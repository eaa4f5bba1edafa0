"""Scrapes of /metrics as prometheus_client serves it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from prometheus_client import Histogram as PrometheusHistogram

from tests.support.sample_releases import make_release, make_version
from thale.monitoring.histogram import Histogram
from thale.release.controller.metrics_scraper import CounterTracker, MetricsScraper, Scrape, ScrapeResult
from thale.release.judge.version_metrics import comparison_window
from thale.release.lifecycle import transitions

ANNA = transitions.Author("anna", "a try", "2026-11-21T12:00:00+00:00")
BEFORE, AFTER = 1000.0, 2000.0


class InstrumentedFacade:
    """Counters of one facade, and a server of its /metrics."""

    def __init__(self, started_at: float = BEFORE) -> None:
        self.registry = CollectorRegistry()
        labels = ["model", "version"]
        self.requests = Counter("thale_model_requests", "x", [*labels, "outcome"], registry=self.registry)
        self.fallbacks = Counter("thale_model_fallbacks", "x", [*labels, "reason"], registry=self.registry)
        self.plates = Counter("thale_output_plates", "x", labels, registry=self.registry)
        self.area = PrometheusHistogram(
            "thale_output_area_mm2", "x", [*labels, "organ"], buckets=(10, 100), registry=self.registry
        )
        self.dice = PrometheusHistogram(
            "thale_shadow_dice", "x", [*labels, "organ"], buckets=(0.5, 1), registry=self.registry
        )
        self.seconds = PrometheusHistogram(
            "thale_model_request_duration_seconds", "x", labels, buckets=(0.1, 1), registry=self.registry
        )
        self.breaker = Gauge("thale_model_breaker_open", "x", labels, registry=self.registry)
        Gauge("process_start_time_seconds", "x", registry=self.registry).set(started_at)

    def count_requests(self, count: int, version: str = "1.1.0") -> None:
        self.requests.labels("plate-seg", version, "ok").inc(count)

    @contextmanager
    def serve(self) -> Iterator[str]:
        server, thread = start_http_server(0, "127.0.0.1", registry=self.registry)
        try:
            yield f"http://127.0.0.1:{server.server_port}/metrics"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def scrape(*urls: str) -> ScrapeResult:
    return asyncio.run(MetricsScraper(urls, timeout_s=20).read())


def rename_facade(result: ScrapeResult, name: str = "a") -> ScrapeResult:
    """Return a scrape under a fixed name, as if the facade had kept its address over a restart."""
    (scrape,) = result.scrapes.values()
    return ScrapeResult({name: scrape}, {})


def ok_requests(increase: object) -> int:
    assert isinstance(increase, dict)
    return increase["plate-seg", "1.1.0"].requests.get("ok", 0)


def test_counter_tracker_reads_all_metrics_of_a_version() -> None:
    facade = InstrumentedFacade(AFTER)
    facade.count_requests(3)
    facade.fallbacks.labels("plate-seg", "1.1.0", "timeout").inc(2)
    facade.plates.labels("plate-seg", "1.1.0").inc(3)
    facade.breaker.labels("plate-seg", "1.1.0").set(1)
    for area in (10, 11, 5000):
        facade.area.labels("plate-seg", "1.1.0", "root").observe(area)
    facade.dice.labels("plate-seg", "1.1.0", "shoot").observe(0.9)
    facade.seconds.labels("plate-seg", "1.0.0").observe(0.5)
    with facade.serve() as url:
        _, increase = CounterTracker(tracking_since=BEFORE).update(scrape(url))
    release = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)
    window = comparison_window(increase, release)
    assert (window.canary.requests, window.canary.fallbacks) == ({"ok": 3}, {"timeout": 2})
    assert (window.canary.plates, window.canary.empty, window.canary.breakers_open) == (3, 0, 1)
    assert window.canary.histograms == {
        "root_area_mm2": Histogram((10.0, 100.0), (1, 1, 1)),
        "agreement_dice_shoot": Histogram((0.5, 1.0), (0, 1, 0)),
    }
    assert window.stable.histograms == {"seconds": Histogram((0.1, 1.0), (0, 1, 0))}


def test_counter_tracker_ignores_counts_before_tracking() -> None:
    facade = InstrumentedFacade(BEFORE)
    facade.count_requests(100)
    with facade.serve() as url:
        tracker, first = CounterTracker(tracking_since=AFTER).update(scrape(url))
        facade.count_requests(2)
        _, second = tracker.update(scrape(url))
    assert (ok_requests(first), ok_requests(second)) == (0, 2)


def test_counter_tracker_counts_a_restarted_facade_from_zero() -> None:
    facade, restarted = InstrumentedFacade(BEFORE), InstrumentedFacade(AFTER + 1)
    with facade.serve() as url:
        facade.count_requests(5)
        tracker, _ = CounterTracker(tracking_since=AFTER).update(rename_facade(scrape(url)))
        facade.count_requests(4)
        tracker, increase = tracker.update(rename_facade(scrape(url)))
        assert ok_requests(increase) == 4
    restarted.count_requests(7)
    with restarted.serve() as url:
        tracker, increase = tracker.update(rename_facade(scrape(url)))
        assert ok_requests(increase) == 7
        restarted.count_requests(1)
        tracker, increase = tracker.update(rename_facade(scrape(url)))
        assert ok_requests(increase) == 1


def test_counter_tracker_treats_a_decrease_as_a_restart() -> None:
    series = ("thale_model_requests_total", (("model", "plate-seg"), ("outcome", "ok"), ("version", "1.1.0")))
    before = Scrape(float("nan"), {series: 50.0})
    tracker = CounterTracker(tracking_since=AFTER, scrapes={"a": before})
    _, increase = tracker.update(ScrapeResult({"a": Scrape(float("nan"), {series: 6.0})}, {}))
    assert ok_requests(increase) == 6


def test_counter_tracker_sums_old_and_new_facades() -> None:
    old, new = InstrumentedFacade(BEFORE), InstrumentedFacade(AFTER + 5)
    old.count_requests(10)
    new.count_requests(3)
    with old.serve() as one, new.serve() as two:
        tracker, _ = CounterTracker(tracking_since=AFTER).update(scrape(one))
        old.count_requests(2)
        _, increase = tracker.update(scrape(one, two))
    assert ok_requests(increase) == 2 + 3


def test_counter_tracker_resumes_an_unreachable_facade() -> None:
    facade = InstrumentedFacade(BEFORE)
    with facade.serve() as url:
        tracker, _ = CounterTracker(tracking_since=AFTER).update(rename_facade(scrape(url)))
    facade.count_requests(4)
    failed = scrape(url)
    assert list(failed.unreachable) == [url]
    assert "request failed" in failed.unreachable[url]
    tracker, increase = tracker.update(failed)
    assert increase == {}
    with facade.serve() as url:
        _, increase = tracker.update(rename_facade(scrape(url)))
    assert ok_requests(increase) == 4


def test_counter_tracker_ignores_histograms_with_different_bins() -> None:
    def scrape(edges: tuple[str, ...], counts: tuple[float, ...]) -> Scrape:
        labels = (("model", "plate-seg"), ("version", "1.1.0"))
        name = "thale_model_request_duration_seconds_bucket"
        rows = zip(edges, counts, strict=True)
        return Scrape(AFTER, {(name, tuple(sorted((*labels, ("le", edge))))): count for edge, count in rows})

    result = ScrapeResult({"a": scrape(("0.1", "+Inf"), (5, 5)), "b": scrape(("1.0", "+Inf"), (1, 5))}, {})
    _, increase = CounterTracker(tracking_since=BEFORE).update(result)
    assert increase["plate-seg", "1.1.0"].histograms == {}


@pytest.mark.parametrize("text", [b"<html>", b"thale_model_requests_total{ 3", b"\xff\xfe"])
def test_metrics_scraper_reports_a_response_without_metrics(text: bytes) -> None:
    async def serve_and_read() -> ScrapeResult:
        async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + text)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(respond, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await MetricsScraper([f"http://127.0.0.1:{port}/metrics"], timeout_s=20).read()

    result = asyncio.run(serve_and_read())
    assert not result.scrapes
    assert "not in the Prometheus text format" in next(iter(result.unreachable.values()))


def test_metrics_scraper_reports_an_unknown_host() -> None:
    result = scrape("http://facade.invalid:9090/metrics")
    assert "DNS lookup" in result.unreachable["http://facade.invalid:9090/metrics"]
