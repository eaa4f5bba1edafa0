"""Tests of the window statistics and of the status page, including its protection against injection."""

import base64
import hashlib
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.support.sample_releases import ANNA, make_release, make_version
from thale.facade.settings import FacadeSettings
from thale.facade.status.health import Readiness
from thale.facade.status.status_page import StatusPage
from thale.facade.status.window_stats import CounterSnapshot, WindowStats, quantile
from thale.release.lifecycle import transitions
from thale.schemas import ReleaseState

SECONDS = {size: {0.1: 0.0, 1.0: 0.0, math.inf: 0.0} for size in ("1mp", "4mp", "16mp", "larger")}
EMPTY_SNAPSHOT = CounterSnapshot(0.0, {}, SECONDS, {}, 0.0, 0.0)


class FakeMonitor:
    """Self-monitor with fixed values."""

    def __init__(self, release_state: ReleaseState | None, readiness: Readiness, stats: WindowStats) -> None:
        self.release_state, self.readiness, self._stats = release_state, readiness, stats

    def window_stats(self) -> WindowStats:
        return self._stats


class Elements(HTMLParser):
    """Parser that collects the tags, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


def render_page(
    release_state: ReleaseState | None, readiness: Readiness, stats: WindowStats, **settings: object
) -> Elements:
    monitor = FakeMonitor(release_state, readiness, stats)
    page = StatusPage(monitor, FacadeSettings(release_state_path="none", **settings)).render()  # type: ignore[arg-type]
    elements = Elements()
    elements.feed(page.body.decode())
    elements.close()
    return elements


def test_quantiles_interpolate_like_prometheus() -> None:
    cumulative_counts = {0.1: 50.0, 1.0: 100.0, math.inf: 100.0}
    assert quantile(cumulative_counts, 0.5) == pytest.approx(0.1)
    assert quantile(cumulative_counts, 0.75) == pytest.approx(0.55)
    assert quantile({0.1: 0.0, 1.0: 0.0, math.inf: 7.0}, 0.5) == 1.0
    assert math.isnan(quantile({0.1: 0.0, math.inf: 0.0}, 0.99))
    assert math.isnan(quantile({}, 0.5))


def test_window_stats_are_between_two_snapshots() -> None:
    plates = {("plate-seg", "1.0.0"): 90.0, ("plate-seg", "1.1.0"): 10.0, ("plate-landmarks", "1.0.0"): 100.0}
    seconds = {**SECONDS, "4mp": {0.1: 0.0, 1.0: 100.0, math.inf: 100.0}}
    first = replace(EMPTY_SNAPSHOT, at_s=100.0, requests={"2xx": 5.0})
    last = CounterSnapshot(160.0, {"2xx": 95.0, "4xx": 8.0, "5xx": 2.0}, seconds, plates, 3.0, 1.0)
    stats = WindowStats.between(first, last)
    assert stats.requests_per_s == pytest.approx(100 / 60)
    assert (stats.error_ratio, stats.client_error_ratio) == (pytest.approx(0.02), pytest.approx(0.08))
    assert stats.plates_per_h == pytest.approx(6000)  # both models processed the same 100 plates in a minute
    assert stats.cost_per_1000_plates(0.6) == pytest.approx(0.1)
    [four] = [latency for latency in stats.latencies if latency.requests]
    assert (four.size, four.requests, four.p99_s) == ("4mp", 100, pytest.approx(0.1 + 0.9 * 0.99))
    assert (stats.in_flight, stats.queued) == (3.0, 1.0)


def test_window_stats_are_nan_without_requests() -> None:
    for last in (EMPTY_SNAPSHOT, replace(EMPTY_SNAPSHOT, at_s=60.0)):
        stats = WindowStats.between(EMPTY_SNAPSHOT, last)
        assert math.isnan(stats.error_ratio)
        assert math.isnan(stats.cost_per_1000_plates(1.0))
    text = render_page(None, Readiness(), WindowStats()).text
    assert "NOT READY" in text
    assert "nan" not in text


def test_page_lists_versions_with_weight_and_workers() -> None:
    canary_release = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)
    readiness = Readiness({("plate-seg", "1.0.0"): 2, ("plate-seg", "1.1.0"): 0})
    plates = {("plate-seg", "1.0.0"): 12_345.0}
    text = render_page(ReleaseState(models={"plate-seg": canary_release}), readiness, WindowStats(plates=plates)).text
    for expected_text in ("stable", "95 %", "canary, last changed", "5 %", "12,345", "ready"):
        assert expected_text in text


def test_page_shows_cost_per_1000_plates_when_configured() -> None:
    stats = WindowStats(window_s=60.0, plates_per_h=2000.0)
    assert "0.1 EUR for 1,000 plates" in " ".join(
        render_page(None, Readiness(), stats, cost_per_hour=0.2, currency="EUR").text.split()
    )
    assert "1,000 plates" not in render_page(None, Readiness(), stats).text


def test_page_escapes_names() -> None:
    hostile = "<script>alert('1')</script>"
    elements = render_page(None, Readiness(missing=(hostile,)), WindowStats())
    assert hostile in elements.text
    assert {tag for tag, _ in elements.tags}.isdisjoint({"script", "iframe", "object", "img", "link", "form"})


def test_page_csp_allows_only_its_own_style() -> None:
    page = StatusPage(FakeMonitor(None, Readiness(), WindowStats()), FacadeSettings(release_state_path="none")).render()  # type: ignore[arg-type]
    policy = page.headers["Content-Security-Policy"]
    [style] = re.findall(r"<style>(.*?)</style>", page.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{digest}'" in policy
    assert " style=" not in page.body.decode()
    assert "url(" not in style
    assert "@import" not in style


def test_snapshot_counts_client_requests_only() -> None:
    from thale.telemetry import metrics

    before = CounterSnapshot.take(0.0)
    for route in ("/health/ready", "/v2/health/live", "/v1/phenotype"):
        metrics.REQUESTS.labels(route, "503").inc()
    metrics.REQUEST_SECONDS.labels("/v1/phenotype", "16mp").observe(3.0)
    metrics.REQUEST_SECONDS.labels("/health/ready", "none").observe(3.0)
    stats = WindowStats.between(before, CounterSnapshot.take(1.0))
    assert (stats.requests_per_s, stats.error_ratio) == (1.0, 1.0)
    assert [latency.requests for latency in stats.latencies] == [0, 0, 1, 0]
