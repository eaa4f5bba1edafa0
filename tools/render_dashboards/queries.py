"""Queries of a dashboard, sent to a Prometheus as Grafana does."""

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
    """Prometheus rejected a query. The message contains the query and the response."""


@dataclass(frozen=True)
class Period:
    """A time range: start and end in Unix time, and the step in seconds."""

    start: float
    end: float
    step: float

    @property
    def rate_interval_s(self) -> int:
        """Grafana's value of $__rate_interval: long enough for two scrapes."""
        return max(15, math.ceil(4 * self.step))


@dataclass(frozen=True)
class Series:
    """One series of a query result: legend, labels and points. An instant query returns one point."""

    legend: str
    labels: Mapping[str, str]
    times_T: NDArray[np.float64]
    values_T: NDArray[np.float64]

    def has_values(self) -> bool:
        """Return True if any value is finite."""
        return bool(np.isfinite(self.values_T).any())


@dataclass(frozen=True)
class Exemplar:
    """An exemplar of a histogram: one observation with its trace."""

    time: float
    value: float
    trace_id: str


@dataclass(frozen=True)
class PanelQuery:
    """A query of a panel, from the dashboard's JSON."""

    expr: str
    legend: str
    instant: bool
    ref_id: str
    exemplars: bool = False


def query_panels(dashboard: Json) -> Iterator[Json]:
    """Yield the panels of a dashboard that have queries."""
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
    """Return a query with its variables replaced, with `All` selected for each.

    Raises:
        QueryError: If the query has an unknown variable.
    """
    values = {"environment": ".*", "model": ".*", "version": ".*", "__rate_interval": f"{period.rate_interval_s}s"}

    def substitute(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in values:
            raise QueryError(f"unknown variable {name}: {expr}")
        return values[name]

    return _VARIABLE.sub(substitute, expr)


def run_query(url: str, panel_query: PanelQuery, period: Period) -> list[Series]:
    """Run a query on a Prometheus.

    Raises:
        QueryError: If Prometheus rejects the query.
    """
    query = interpolate(panel_query.expr, period)
    if panel_query.instant:
        path, time_range = "query", {"time": f"{period.end}"}
    else:
        path, time_range = "query_range", {"start": f"{period.start}", "end": f"{period.end}", "step": f"{period.step}"}
    results = _fetch_data(url, path, {"query": query, **time_range})["result"]
    return [_parse_series(panel_query, item) for item in results]


def run_exemplar_query(url: str, panel_query: PanelQuery, period: Period) -> list[Exemplar]:
    """Return the exemplars of the histograms in a query.

    Raises:
        QueryError: If Prometheus rejects the query.
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
