"""Scrapes the counters of all facades, and computes their increase since the last scrape.

The controller scrapes the facades and not Prometheus, because a rollback must not wait for a scrape interval.
Increases are computed per facade, so that facades can start, stop and restart during a rollout.

    result = await MetricsScraper(urls).read()
    counters, increase = counters.update(result)
    window = comparison_window(increase, release)
"""

import asyncio
import math
import socket
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from thale.monitoring.histogram import Histogram
from thale.release.judge.version_metrics import CounterIncrease, VersionMetrics

Series = tuple[str, tuple[tuple[str, str], ...]]
"""Name and sorted labels of a sample."""

_PREFIXES = ("thale_model_", "thale_output_", "thale_shadow_")
_IGNORED_PREFIXES = ("thale_model_stage_", "thale_model_batch_")
"""Stage and batch timings, which the judge does not use."""
_START_TIME_METRIC = "process_start_time_seconds"
_BREAKER_METRIC = "thale_model_breaker_open"
_LATENCY_METRIC = "thale_model_request_duration_seconds"
_MAX_RESPONSE_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Scrape:
    """Counters of one facade at one time. `started_at` is its process start in Unix seconds, NaN if unknown."""

    started_at: float
    values: Mapping[Series, float]

    def increase_since(self, previous: "Scrape | None", tracking_since: float) -> dict[Series, float]:
        """Return the increase of each counter, and the current value of each gauge.

        A facade that started after its last scrape, or after `tracking_since`, counts from zero. An older facade has
        no increase at its first scrape.
        """
        if previous is None:
            base = {} if self.started_at > tracking_since else self.values
        elif self._has_restarted(previous):
            base = {}
        else:
            base = previous.values
        return {
            series: value if series[0] == _BREAKER_METRIC else value - base.get(series, 0.0)
            for series, value in self.values.items()
        }

    def _has_restarted(self, previous: "Scrape") -> bool:
        if self.started_at != previous.started_at and not math.isnan(self.started_at):
            return True
        return any(
            value < previous.values.get(series, 0.0) for series, value in self.values.items() if _is_counter(series)
        )


@dataclass(frozen=True)
class ScrapeResult:
    """Scrapes of all facades at one time. `unreachable` has the reason for each missing facade."""

    scrapes: Mapping[str, Scrape]
    unreachable: Mapping[str, str]


@dataclass(frozen=True)
class CounterTracker:
    """Last counters of every facade. They are not saved: requests during a restart of the controller are not judged.

    Args:
        tracking_since: Start of the tracking, in Unix seconds.
        scrapes: Last scrape by facade, including unreachable facades, which may return.
    """

    tracking_since: float
    scrapes: Mapping[str, Scrape] = field(default_factory=dict)

    def update(self, result: ScrapeResult) -> tuple[Self, CounterIncrease]:
        """Return the tracker after a scrape, and the counter increase summed over all facades."""
        increases: defaultdict[Series, float] = defaultdict(float)
        for facade, scrape in result.scrapes.items():
            for series, value in scrape.increase_since(self.scrapes.get(facade), self.tracking_since).items():
                increases[series] += value
        return replace(self, scrapes={**self.scrapes, **result.scrapes}), _group_by_version(increases)


class MetricsScraper:
    """Scrapes the counters of all facades.

    Args:
        urls: URLs of /metrics. All addresses of a host name (such as a headless service) are scraped.
        timeout_s: Timeout of one facade.
    """

    def __init__(self, urls: Sequence[str], timeout_s: float = 1.0) -> None:
        self._urls, self._timeout_s = tuple(urls), timeout_s

    async def read(self) -> ScrapeResult:
        """Scrape all facades concurrently. Facades with errors are reported in `unreachable`. Never raises."""
        resolved = await asyncio.gather(*(self._resolve(url) for url in self._urls))
        addresses = {address for addresses, _ in resolved for address in addresses}
        unreachable = {url: fault for url, (_, fault) in zip(self._urls, resolved, strict=True) if fault}
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            responses = await asyncio.gather(*(_scrape(session, address) for address in sorted(addresses)))
        scrapes = {}
        for address, response in zip(sorted(addresses), responses, strict=True):
            if isinstance(response, Scrape):
                scrapes[address] = response
            else:
                unreachable[address] = response
        return ScrapeResult(scrapes, unreachable)

    async def _resolve(self, url: str) -> tuple[list[str], str]:
        """Return one URL for each address of a URL's host, or an error.

        An https URL is returned unchanged, because certificates are issued for names.
        """
        parts = urlsplit(url)
        if parts.scheme != "http":
            return [url], ""
        try:
            async with asyncio.timeout(self._timeout_s):
                lookup = asyncio.get_running_loop().getaddrinfo(
                    parts.hostname, parts.port or 80, type=socket.SOCK_STREAM
                )
                ip_addresses = {str(address[0]) for *_, address in await lookup}
        except TimeoutError:
            return [], "DNS lookup timed out"
        except OSError as error:
            return [], f"DNS lookup failed: {error}"
        hosts = [f"[{host}]" if ":" in host else host for host in ip_addresses]
        return [urlunsplit(parts._replace(netloc=f"{host}:{parts.port or 80}")) for host in hosts], ""


def parse_metrics(text: str) -> Scrape:
    """Parse the counters of a facade from the Prometheus text format.

    Raises:
        ValueError: If the text is not in this format.
    """
    values, started_at = {}, math.nan
    for family in text_string_to_metric_families(text):
        if family.name == _START_TIME_METRIC:
            started_at = family.samples[0].value
        if family.name.startswith(_PREFIXES) and not family.name.startswith(_IGNORED_PREFIXES):
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    values[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return Scrape(started_at, values)


async def _scrape(session: aiohttp.ClientSession, url: str) -> Scrape | str:
    """Return the counters of a facade, or an error."""
    try:
        async with session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                return f"HTTP status {response.status}"
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _MAX_RESPONSE_BYTES:
                    return f"response larger than {_MAX_RESPONSE_BYTES} bytes"
        return parse_metrics(body.decode())
    except TimeoutError:
        return "request timed out"
    except (aiohttp.ClientError, OSError) as error:
        return f"request failed: {error}"
    except ValueError as error:
        return f"response is not in the Prometheus text format: {error}"


def _is_counter(series: Series) -> bool:
    """Return whether a series is a counter or a histogram bucket."""
    return series[0].endswith(("_total", "_bucket"))


def _group_by_version(increases: Mapping[Series, float]) -> CounterIncrease:
    """Group counter increases by model and version."""
    by_version: defaultdict[tuple[str, str], dict[Series, float]] = defaultdict(dict)
    for (name, labels), value in increases.items():
        label_values = dict(labels)
        if "model" in label_values and "version" in label_values:
            other_labels = tuple((key, text) for key, text in labels if key not in ("model", "version"))
            by_version[label_values["model"], label_values["version"]][name, other_labels] = value
    return {version: _version_metrics(series) for version, series in by_version.items()}


def _version_metrics(series: Mapping[Series, float]) -> VersionMetrics:
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    buckets: defaultdict[tuple[str, str], dict[float, float]] = defaultdict(dict)
    for (name, labels), value in series.items():
        label_values = dict(labels)
        if "le" in label_values:
            label = next((text for key, text in labels if key != "le"), "")
            buckets[name.removesuffix("_bucket"), label][float(label_values["le"])] = value
        else:
            counts[name.removesuffix("_total")][next(iter(label_values.values()), "")] = round(value)
    histograms = {_signal_name(name, label): _to_histogram(edges) for (name, label), edges in buckets.items()}
    return VersionMetrics(
        requests=_nonzero_counts(counts["thale_model_requests"]),
        fallbacks=_nonzero_counts(counts["thale_model_fallbacks"]),
        shadow_requests=_nonzero_counts(counts["thale_shadow_requests"]),
        scale_sources=_nonzero_counts(counts["thale_output_scale_source"]),
        plates=counts["thale_output_plates"].get("", 0),
        empty=counts["thale_output_empty"].get("", 0),
        nan=counts["thale_output_nan"].get("", 0),
        breakers_open=counts[_BREAKER_METRIC].get("", 0),
        histograms={
            name: histogram for name, histogram in histograms.items() if histogram is not None and histogram.total
        },
    )


def _nonzero_counts(counts: Mapping[str, int]) -> dict[str, int]:
    return {label: count for label, count in counts.items() if count}


def _to_histogram(cumulative_counts: Mapping[float, float]) -> Histogram | None:
    """Return the histogram of cumulative counts; None if facades with different bins were added."""
    edges = sorted(cumulative_counts)
    counts = [
        round(cumulative_counts[edge] - below)
        for edge, below in zip(edges, _counts_below(cumulative_counts, edges), strict=True)
    ]
    if edges[-1] != math.inf or min(counts) < 0:
        return None
    return Histogram(tuple(edges[:-1]), tuple(counts))


def _counts_below(cumulative_counts: Mapping[float, float], edges: Sequence[float]) -> Iterable[float]:
    return [0.0, *(cumulative_counts[edge] for edge in edges[:-1])]


def _signal_name(metric: str, label: str) -> str:
    """Return the name of a histogram in card references, such as root_area_mm2 or agreement_dice_root."""
    if metric == _LATENCY_METRIC:
        return "seconds"
    if metric.startswith("thale_shadow_"):
        quantity = metric.removeprefix("thale_shadow_").removesuffix("_difference")
        return "_".join(filter(None, ("agreement", quantity, label)))
    quantity = metric.removeprefix("thale_output_")
    return f"{quantity}_{label}" if quantity == "landmarks" else "_".join(filter(None, (label, quantity)))
