"""Built-in status page at the metrics port, for installations without Grafana (ADR 0065).

The page is plain HTML that reloads every few seconds. It has no scripts, forms or external resources. All values are
escaped, and a Content-Security-Policy forbids scripts and requests, so that a model's name cannot inject code.
"""

import base64
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import cache
from html import escape
from importlib.resources import files

from thale._version import __version__
from thale.facade.settings import FacadeSettings
from thale.facade.status.self_monitor import POLL_INTERVAL_S, SelfMonitor
from thale.facade.status.window_stats import WindowStats
from thale.schemas import Release, version_numbers
from thale.telemetry import labels
from thale.telemetry.metrics_server import Page

_UNKNOWN = "&ndash;"
_MINUTE_LENGTH = len("2026-11-21T12:00")
_SIZE_LABELS = {
    name: f"up to {max_megapixels:g} MP" for name, max_megapixels in labels.MAX_MEGAPIXELS_BY_SIZE.items()
} | {"larger": "larger images"}


class StatusPage:
    """Renders the page from the self-monitor's values."""

    def __init__(self, monitor: SelfMonitor, settings: FacadeSettings) -> None:
        self._monitor, self._settings = monitor, settings

    def render(self) -> Page:
        """Return the current page."""
        stats = self._monitor.window_stats()
        body = "".join(
            [
                f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{self._title()}</title>',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f'<meta http-equiv="refresh" content="{POLL_INTERVAL_S:g}"><style>{_style()}</style></head><body>',
                f"<header><h1>thale</h1>{self._readiness_banner()}</header><main>",
                f'<section class="tiles">{"".join(self._tiles(stats))}</section>',
                f"<h2>Latency</h2>{_latencies(stats)}",
                f"<h2>Models</h2>{self._models(stats)}",
                f"</main><footer>thale {__version__}; statistics of this facade over the last "
                f'{_minutes(stats.window_s)}; all metrics: <a href="/metrics">/metrics</a></footer></body></html>',
            ]
        )
        return Page(body.encode(), "text/html; charset=utf-8", headers=_headers())

    def _title(self) -> str:
        return "thale: ready" if self._is_ready() else "thale: NOT READY"

    def _is_ready(self) -> bool:
        return self._monitor.release_state is not None and self._monitor.readiness.is_ready

    def _readiness_banner(self) -> str:
        if self._is_ready():
            return '<p class="good">&#10003; ready</p>'
        missing = "; ".join(self._monitor.readiness.missing) or "not polled yet"
        return f'<p class="bad">&#10007; not ready: {escape(missing)}</p>'

    def _tiles(self, stats: WindowStats) -> Iterator[str]:
        settings = self._settings
        max_requests = settings.max_in_flight + settings.max_queue_length
        yield _tile(_number(stats.requests_per_s), "requests per second")
        yield _tile(_percent(stats.error_ratio), "failed (5xx)", is_bad=stats.error_ratio > 0)
        yield _tile(_percent(stats.client_error_ratio), "rejected (4xx)")
        high, value = f"{0.8 * max_requests:g}", f"{stats.in_flight:g}"
        yield _tile(
            f"{value} of {max_requests}",
            f"images in flight, {stats.queued:g} queued",
            extra_html=f'<meter min="0" max="{max_requests}" high="{high}" value="{value}"></meter>',
        )
        yield _tile(_number(stats.plates_per_h), "plates per hour")
        if settings.cost_per_hour is not None:
            cost = stats.cost_per_1000_plates(settings.cost_per_hour)
            yield _tile(_number(cost), f"{settings.currency} for 1,000 plates at this rate")

    def _models(self, stats: WindowStats) -> str:
        release_state = self._monitor.release_state
        if release_state is None or not release_state.models:
            return '<p class="bad">no model is released</p>'
        rows = [
            row
            for name, model in sorted(release_state.models.items())
            for row in self._versions(name, model, stats.plates)
        ]
        headings = ["model", "version", "weight", "ready workers", "plates", "role"]
        return _table(headings, rows, text_columns={0, 1, 5})

    def _versions(self, name: str, model: Release, plates: Mapping[tuple[str, str], float]) -> Iterator[list[str]]:
        for version in sorted(model.versions, key=lambda version: (version != model.stable, version_numbers(version))):
            workers = self._monitor.readiness.workers.get((name, version))
            traffic_percent, role = _role(model, version)
            workers_text = _UNKNOWN if workers is None else str(workers)
            serves_traffic = version in (model.stable, model.canary)
            yield [
                escape(name),
                escape(version),
                f"{traffic_percent:g} %",
                workers_text if workers or not serves_traffic else f'<span class="bad">{workers_text}</span>',
                f"{plates.get((name, version), 0):,.0f}",
                role,
            ]


def _role(model: Release, version: str) -> tuple[float, str]:
    """Return a version's share of the requests in percent, and its role."""
    if version == model.stable:
        return 100.0 - model.weight_percent, "stable"
    shadow = "shadow" if version == model.shadow else ""
    if version != model.canary:
        return 0.0, shadow or "loaded"
    changed_at = next((event.at for event in reversed(model.history) if event.version == version), "")
    label = f"canary, last changed {escape(changed_at[:_MINUTE_LENGTH].replace('T', ' '))}" if changed_at else "canary"
    return model.weight_percent, f"{label}; {shadow}" if shadow else label


def _latencies(stats: WindowStats) -> str:
    rows = [
        [_SIZE_LABELS[latency.size], f"{latency.requests:,}", _seconds(latency.p50_s), _seconds(latency.p99_s)]
        for latency in stats.latencies
    ]
    return _table(["images", "requests", "p50", "p99"], rows, text_columns={0})


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]], text_columns: Set[int]) -> str:
    def line(tag: str, cells: Iterable[str]) -> str:
        cell_tags = (
            f'<{tag} class="text">{cell}</{tag}>' if index in text_columns else f"<{tag}>{cell}</{tag}>"
            for index, cell in enumerate(cells)
        )
        return f"<tr>{''.join(cell_tags)}</tr>"

    body = "".join(line("td", row) for row in rows)
    return f'<div class="wide"><table><thead>{line("th", headings)}</thead><tbody>{body}</tbody></table></div>'


def _tile(value: str, label: str, *, is_bad: bool = False, extra_html: str = "") -> str:
    value_html = f'<b class="bad">{value}</b>' if is_bad else f"<b>{value}</b>"
    return f'<div class="tile">{value_html}<span>{label}</span>{extra_html}</div>'


def _number(value: float) -> str:
    return _UNKNOWN if math.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _percent(ratio: float) -> str:
    return _UNKNOWN if math.isnan(ratio) else f"{100 * ratio:.3g} %"


def _seconds(value: float) -> str:
    return _UNKNOWN if math.isnan(value) else f"{1000 * value:.0f} ms" if value < 1 else f"{value:.3g} s"


def _minutes(window_s: float) -> str:
    return f"{window_s:.0f} s" if window_s < 120 else f"{window_s / 60:.0f} min"


@cache
def _style() -> str:
    return files("thale.facade.status").joinpath("status_page.css").read_text(encoding="utf-8")


@cache
def _headers() -> Mapping[str, str]:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
