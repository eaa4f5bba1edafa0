"""The built-in page on the metrics' port: the few figures that matter, for those without Grafana.

Plain HTML that comes anew every few seconds: no script, nothing from elsewhere, nothing to send. What it shows is
escaped, and the browser is told to run and to fetch nothing, so that not even a model's name could do harm.
"""

import base64
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import cache
from html import escape
from importlib.resources import files

from thale._version import __version__
from thale.facade.settings import Settings
from thale.facade.status.self_monitor import LOOK_S, Vitals
from thale.facade.status.window_stats import Figures
from thale.schemas import Release
from thale.telemetry import labels
from thale.telemetry.metrics_server import Page

_UNKNOWN = "&ndash;"
_TO_THE_MINUTE = len("2026-11-21T12:00")
_MEGAPIXELS = {name: f"up to {most:g} MP" for name, most in labels.MEGAPIXELS_OF_SIZE.items()} | {
    "larger": "larger images"
}


class FiguresPage:
    """Draws the page from what the facade knows of itself."""

    def __init__(self, vitals: Vitals, settings: Settings) -> None:
        self._vitals, self._settings = vitals, settings

    def render(self) -> Page:
        """Return the page as it is now."""
        figures = self._vitals.figures()
        body = "".join(
            [
                f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{self._title()}</title>',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f'<meta http-equiv="refresh" content="{LOOK_S:g}"><style>{_style()}</style></head><body>',
                f"<header><h1>thale</h1>{self._state()}</header><main>",
                f'<section class="tiles">{"".join(self._tiles(figures))}</section>',
                f"<h2>How long answers take</h2>{_latencies(figures)}",
                f"<h2>Models, their ready workers, and the plates they measured</h2>{self._models(figures)}",
                f"</main><footer>thale {__version__}; figures of the last {_minutes(figures.window_s)}, this facade "
                'alone; all of them: <a href="/metrics">/metrics</a></footer></body></html>',
            ]
        )
        return Page(body.encode(), "text/html; charset=utf-8", headers=_headers())

    def _title(self) -> str:
        return "thale: ready" if self._ready() else "thale: NOT READY"

    def _ready(self) -> bool:
        return self._vitals.record is not None and self._vitals.readiness.ready

    def _state(self) -> str:
        if self._ready():
            return '<p class="good">&#10003; ready</p>'
        missing = "; ".join(self._vitals.readiness.missing) or "nobody has looked yet"
        return f'<p class="bad">&#10007; not ready: {escape(missing)}</p>'

    def _tiles(self, figures: Figures) -> Iterator[str]:
        settings = self._settings
        most = settings.max_in_flight + settings.max_waiting
        yield _tile(_number(figures.requests_per_s), "requests a second")
        yield _tile(_percent(figures.failed), "failed (5xx)", bad=figures.failed > 0)
        yield _tile(_percent(figures.refused), "refused (4xx)")
        yield _tile(
            f"{figures.in_flight:g} of {most}",
            f"places taken, {figures.waiting:g} wait",
            more=f'<meter min="0" max="{most}" high="{0.8 * most:g}" value="{figures.in_flight:g}"></meter>',
        )
        yield _tile(_number(figures.plates_per_h), "plates an hour")
        if settings.price_per_hour is not None:
            price = figures.price_per_1000(settings.price_per_hour)
            yield _tile(_number(price), f"{settings.currency} for 1,000 plates at this rate")

    def _models(self, figures: Figures) -> str:
        record = self._vitals.record
        if record is None or not record.models:
            return '<p class="bad">no model is released</p>'
        rows = [
            row for name, model in sorted(record.models.items()) for row in self._versions(name, model, figures.plates)
        ]
        return _table(["model", "version", "share", "workers", "plates", "part"], rows, words={0, 1, 5})

    def _versions(self, name: str, model: Release, plates: Mapping[tuple[str, str], float]) -> Iterator[list[str]]:
        for version in sorted(model.versions, key=lambda version: (version != model.stable, version)):
            workers = self._vitals.readiness.workers.get((name, version))
            share, role = _role(model, version)
            told = _UNKNOWN if workers is None else str(workers)
            used = version in (model.stable, model.canary)
            yield [
                escape(name),
                escape(version),
                f"{share:g} %",
                told if workers or not used else f'<span class="bad">{told}</span>',
                f"{plates.get((name, version), 0):,.0f}",
                role,
            ]


def _role(model: Release, version: str) -> tuple[float, str]:
    """Return a version's share of the requests in percent, and what it is there for."""
    if version == model.stable:
        return 100.0 - model.weight_percent, "stable"
    shadow = "sees copies" if version == model.shadow else ""
    if version != model.canary:
        return 0.0, shadow or "held"
    since = next((change.at for change in reversed(model.history) if change.version == version), "")
    words = f"on trial, last changed {escape(since[:_TO_THE_MINUTE].replace('T', ' '))}" if since else "on trial"
    return model.weight_percent, f"{words}; {shadow}" if shadow else words


def _latencies(figures: Figures) -> str:
    rows = [
        [_MEGAPIXELS[latency.size], f"{latency.requests:,}", _seconds(latency.p50_s), _seconds(latency.p99_s)]
        for latency in figures.latencies
    ]
    return _table(["images", "requests", "50 % within", "99 % within"], rows, words={0})


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]], words: Set[int]) -> str:
    def line(tag: str, cells: Iterable[str]) -> str:
        made = (
            f'<{tag} class="text">{cell}</{tag}>' if index in words else f"<{tag}>{cell}</{tag}>"
            for index, cell in enumerate(cells)
        )
        return f"<tr>{''.join(made)}</tr>"

    body = "".join(line("td", row) for row in rows)
    return f'<div class="wide"><table><thead>{line("th", heads)}</thead><tbody>{body}</tbody></table></div>'


def _tile(figure: str, words: str, *, bad: bool = False, more: str = "") -> str:
    shown = f'<b class="bad">{figure}</b>' if bad else f"<b>{figure}</b>"
    return f'<div class="tile">{shown}<span>{words}</span>{more}</div>'


def _number(value: float) -> str:
    return _UNKNOWN if math.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _percent(share: float) -> str:
    return _UNKNOWN if math.isnan(share) else f"{100 * share:.3g} %"


def _seconds(value: float) -> str:
    return _UNKNOWN if math.isnan(value) else f"{1000 * value:.0f} ms" if value < 1 else f"{value:.3g} s"


def _minutes(window_s: float) -> str:
    return f"{window_s:.0f} s" if window_s < 120 else f"{window_s / 60:.0f} min"


@cache
def _style() -> str:
    return files("thale.facade").joinpath("figures.css").read_text(encoding="utf-8")


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
