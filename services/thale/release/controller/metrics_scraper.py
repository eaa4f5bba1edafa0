"""Asking the facades for their counters, and how much they grew since the last time.

The facades are asked themselves, not Prometheus: a rollback must not wait for a scrape (DESIGN.md, decision 6).
Growth is taken facade by facade, so facades may come, go and start anew while a rollout runs.

reading = await Facades(urls).read()
ledger, increment = ledger.advance(reading)
window = window_of(increment, release)
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

from thale.monitoring.histogram import Binned
from thale.release.judge.version_metrics import Increment, VersionSignals

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and its labels, sorted."""

_PREFIXES = ("thale_model_", "thale_output_", "thale_shadow_")
_NOT_JUDGED = ("thale_model_stage_", "thale_model_batch_")
"""What answers are made up of; nobody is judged by it."""
_STARTED = "process_start_time_seconds"
_BREAKER = "thale_model_breaker_open"
_SECONDS = "thale_model_seconds"
_LARGEST_ANSWER = 16 * 2**20


@dataclass(frozen=True)
class Scrape:
    """One facade's counters at one moment; `started` is when its process did, in seconds since 1970, NaN if unknown."""

    started: float
    values: Mapping[Series, float]

    def since(self, before: "Scrape | None", watched_since: float) -> dict[Series, float]:
        """Return how much each counter grew. Gauges are what they are now.

        A facade that started after it was last read, or after the watching began, counts from zero; one that was
        there before and is read for the first time has grown by nothing.
        """
        if before is None:
            base = {} if self.started > watched_since else self.values
        elif self._started_anew(before):
            base = {}
        else:
            base = before.values
        return {
            series: value if series[0] == _BREAKER else value - base.get(series, 0.0)
            for series, value in self.values.items()
        }

    def _started_anew(self, before: "Scrape") -> bool:
        if self.started != before.started and not math.isnan(self.started):
            return True
        return any(value < before.values.get(series, 0.0) for series, value in self.values.items() if _counts(series))


@dataclass(frozen=True)
class Reading:
    """All facades at one moment; `missing` says why a facade is left out."""

    scrapes: Mapping[str, Scrape]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Ledger:
    """The last counters of every facade. It need not be kept over a restart: what came in between is not judged then.

    Args:
        since: When the watching began, seconds since 1970.
        scrapes: By facade; those that are away are remembered, for they may come back.
    """

    since: float
    scrapes: Mapping[str, Scrape] = field(default_factory=dict)

    def advance(self, reading: Reading) -> tuple[Self, Increment]:
        """Return the ledger after a reading, and by how much everything grew, all facades together."""
        grown: defaultdict[Series, float] = defaultdict(float)
        for facade, scrape in reading.scrapes.items():
            for series, value in scrape.since(self.scrapes.get(facade), self.since).items():
                grown[series] += value
        return replace(self, scrapes={**self.scrapes, **reading.scrapes}), _by_version(grown)


class Facades:
    """Asks every facade for its counters.

    Args:
        urls: Addresses of /metrics. A host name with several addresses (a headless service) means all of them.
        timeout_s: How long to wait for one facade.
    """

    def __init__(self, urls: Sequence[str], timeout_s: float = 1.0) -> None:
        self._urls, self._timeout_s = tuple(urls), timeout_s

    async def read(self) -> Reading:
        """Ask all facades at once; one that is away or answers nonsense is named and left out. Raises nothing."""
        found = await asyncio.gather(*(self._addresses(url) for url in self._urls))
        addresses = {address for addresses, _ in found for address in addresses}
        missing = {url: fault for url, (_, fault) in zip(self._urls, found, strict=True) if fault}
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            answers = await asyncio.gather(*(_scrape(session, address) for address in sorted(addresses)))
        scrapes = {}
        for address, answer in zip(sorted(addresses), answers, strict=True):
            if isinstance(answer, Scrape):
                scrapes[address] = answer
            else:
                missing[address] = answer
        return Reading(scrapes, missing)

    async def _addresses(self, url: str) -> tuple[list[str], str]:
        """Return one URL for each address of a URL's host, or why there is none.

        Certificates are made out to names, so an https URL stands for itself.
        """
        parts = urlsplit(url)
        if parts.scheme != "http":
            return [url], ""
        try:
            async with asyncio.timeout(self._timeout_s):
                lookup = asyncio.get_running_loop().getaddrinfo(
                    parts.hostname, parts.port or 80, type=socket.SOCK_STREAM
                )
                found = {str(address[0]) for *_, address in await lookup}
        except TimeoutError:
            return [], "its name is not resolved in time"
        except OSError as error:
            return [], f"its name cannot be resolved: {error}"
        hosts = [f"[{host}]" if ":" in host else host for host in found]
        return [urlunsplit(parts._replace(netloc=f"{host}:{parts.port or 80}")) for host in hosts], ""


def parse(text: str) -> Scrape:
    """Read a facade's counters from the text that Prometheus reads.

    Raises:
        ValueError: If it is no such text.
    """
    values, started = {}, math.nan
    for family in text_string_to_metric_families(text):
        if family.name == _STARTED:
            started = family.samples[0].value
        if family.name.startswith(_PREFIXES) and not family.name.startswith(_NOT_JUDGED):
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    values[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return Scrape(started, values)


async def _scrape(session: aiohttp.ClientSession, url: str) -> Scrape | str:
    """Return a facade's counters, or why they cannot be had."""
    try:
        async with session.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                return f"it answers with status {answer.status}"
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > _LARGEST_ANSWER:
                    return f"it answers with more than {_LARGEST_ANSWER} bytes"
        return parse(body.decode())
    except TimeoutError:
        return "it does not answer in time"
    except (aiohttp.ClientError, OSError) as error:
        return f"it does not answer: {error}"
    except ValueError as error:
        return f"it answers with something else than metrics: {error}"


def _counts(series: Series) -> bool:
    """Whether a series can only grow."""
    return series[0].endswith(("_total", "_bucket"))


def _by_version(grown: Mapping[Series, float]) -> Increment:
    """Sort what has grown by model and version."""
    by_version: defaultdict[tuple[str, str], dict[Series, float]] = defaultdict(dict)
    for (name, labels), value in grown.items():
        about = dict(labels)
        if "model" in about and "version" in about:
            rest = tuple((key, text) for key, text in labels if key not in ("model", "version"))
            by_version[about["model"], about["version"]][name, rest] = value
    return {version: _signals(series) for version, series in by_version.items()}


def _signals(series: Mapping[Series, float]) -> VersionSignals:
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    buckets: defaultdict[tuple[str, str], dict[float, float]] = defaultdict(dict)
    for (name, labels), value in series.items():
        about = dict(labels)
        if "le" in about:
            label = next((text for key, text in labels if key != "le"), "")
            buckets[name.removesuffix("_bucket"), label][float(about["le"])] = value
        else:
            counts[name.removesuffix("_total")][next(iter(about.values()), "")] = round(value)
    histograms = {_signal_name(name, label): _binned(edges) for (name, label), edges in buckets.items()}
    return VersionSignals(
        requests=_grown(counts["thale_model_requests"]),
        fallbacks=_grown(counts["thale_model_fallbacks"]),
        shadow_requests=_grown(counts["thale_shadow_requests"]),
        scale_sources=_grown(counts["thale_output_scale_source"]),
        plates=counts["thale_output_plates"].get("", 0),
        empty=counts["thale_output_empty"].get("", 0),
        nan=counts["thale_output_nan"].get("", 0),
        breakers_open=counts[_BREAKER].get("", 0),
        histograms={name: binned for name, binned in histograms.items() if binned is not None and binned.total},
    )


def _grown(counts: Mapping[str, int]) -> dict[str, int]:
    return {label: count for label, count in counts.items() if count}


def _binned(at_most: Mapping[float, float]) -> Binned | None:
    """Return the histogram of counts up to each edge; None where facades of different bins were added up."""
    edges = sorted(at_most)
    counts = [round(at_most[edge] - below) for edge, below in zip(edges, _below(at_most, edges), strict=True)]
    if edges[-1] != math.inf or min(counts) < 0:
        return None
    return Binned(tuple(edges[:-1]), tuple(counts))


def _below(at_most: Mapping[float, float], edges: Sequence[float]) -> Iterable[float]:
    return [0.0, *(at_most[edge] for edge in edges[:-1])]


def _signal_name(metric: str, label: str) -> str:
    """Return the name that a card's references have for a histogram, as root_area_mm2 or agreement_dice_root."""
    if metric == _SECONDS:
        return "seconds"
    if metric.startswith("thale_shadow_"):
        word = metric.removeprefix("thale_shadow_").removesuffix("_difference")
        return "_".join(filter(None, ("agreement", word, label)))
    word = metric.removeprefix("thale_output_")
    return f"{word}_{label}" if word == "landmarks" else "_".join(filter(None, (label, word)))
