"""What a dashboard's queries are answered by a Prometheus, as Grafana would ask it."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
from numpy.typing import NDArray

_TIMEOUT_S = 60
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")

Json = Mapping[str, Any]


class QueryError(Exception):
    """Prometheus does not take a query; the message holds both."""


@dataclass(frozen=True)
class Period:
    """From when to when, and how far apart points lie; seconds since 1970, and seconds."""

    start: float
    end: float
    step: float

    @property
    def rate_interval_s(self) -> int:
        """What Grafana makes of $__rate_interval: long enough for two scrapes."""
        return max(15, math.ceil(4 * self.step))


@dataclass(frozen=True)
class Series:
    """An answer to a query: its name in the legend, its labels, its points; an instant's is one point."""

    legend: str
    labels: Mapping[str, str]
    times_T: NDArray[np.float64]
    values_T: NDArray[np.float64]

    def has_values(self) -> bool:
        """Whether any of it is a number."""
        return bool(np.isfinite(self.values_T).any())


@dataclass(frozen=True)
class Exemplar:
    """One request among those that a histogram counted."""

    time: float
    value: float
    trace_id: str


@dataclass(frozen=True)
class PanelQuery:
    """A query of a panel, as it stands in the dashboard's JSON."""

    expr: str
    legend: str
    instant: bool
    ref_id: str
    exemplars: bool = False


def query_panels(dashboard: Json) -> Iterator[Json]:
    """Yield the panels of a dashboard that ask something."""
    yield from (panel for panel in dashboard["panels"] if panel["type"] != "row" and panel.get("targets"))


def panel_queries(panel: Json) -> list[PanelQuery]:
    """Return a panel's queries."""
    return [
        PanelQuery(
            target["expr"],
            target.get("legendFormat", ""),
            target.get("instant", False),
            target["refId"],
            target.get("exemplar", False),
        )
        for target in panel["targets"]
    ]


def interpolate(expr: str, period: Period) -> str:
    """Return a query with its variables filled in, `All` chosen for each.

    Raises:
        QueryError: If it names a variable that no dashboard has.
    """
    values = {"environment": ".*", "model": ".*", "version": ".*", "__rate_interval": f"{period.rate_interval_s}s"}

    def substitute(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in values:
            raise QueryError(f"there is no variable {name}: {expr}")
        return values[name]

    return _VARIABLE.sub(substitute, expr)


def run_query(url: str, panel_query: PanelQuery, period: Period) -> list[Series]:
    """Ask a Prometheus.

    Raises:
        QueryError: If it does not take the query.
    """
    query = interpolate(panel_query.expr, period)
    if panel_query.instant:
        path, time_range = "query", {"time": f"{period.end}"}
    else:
        path, time_range = "query_range", {"start": f"{period.start}", "end": f"{period.end}", "step": f"{period.step}"}
    results = _fetch_data(url, path, {"query": query, **time_range})["result"]
    return [_parse_series(panel_query, item) for item in results]


def run_exemplar_query(url: str, panel_query: PanelQuery, period: Period) -> list[Exemplar]:
    """Ask a Prometheus for the exemplars of the histograms in a query.

    Raises:
        QueryError: If it does not take the query.
    """
    query = {"query": interpolate(panel_query.expr, period), "start": f"{period.start}", "end": f"{period.end}"}
    return [
        Exemplar(float(item["timestamp"]), float(item["value"]), item["labels"].get("trace_id", ""))
        for series in _fetch_data(url, "query_exemplars", query)
        for item in series["exemplars"]
    ]


def _fetch_data(url: str, path: str, parameters: Mapping[str, str]) -> Any:
    try:
        with urlopen(f"{url}/api/v1/{path}?{urlencode(parameters)}", timeout=_TIMEOUT_S) as response:  # noqa: S310
            return json.load(response)["data"]
    except HTTPError as error:
        raise QueryError(f"{parameters['query']}\n{error.read().decode(errors='replace')}") from error


def _parse_series(panel_query: PanelQuery, result: Json) -> Series:
    labels = result["metric"]
    points = np.array([result["value"]] if "value" in result else result["values"], dtype=np.float64)
    legend = (
        _LABEL.sub(lambda match: labels.get(match[1], ""), panel_query.legend) if panel_query.legend else str(labels)
    )
    return Series(legend, labels, points[:, 0], points[:, 1])
