"""Dashboard queries on a real Prometheus that scrapes the real stack under load. Every query returns data."""

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from PIL import Image

from observability.dashboards.__main__ import GENERATED
from tests.support import fake_cluster_exporter, prometheus_process
from tests.support.full_stack import FullStack, run_full_stack
from tests.support.prometheus_process import PrometheusProcess
from thale.telemetry.external_metrics import EXTERNAL_METRICS
from tools.render_dashboards.preview import render_dashboard
from tools.render_dashboards.queries import (
    PanelQuery,
    Period,
    interpolate,
    panel_queries,
    query_panels,
    run_exemplar_query,
    run_query,
)

DASHBOARDS = {path.stem: json.loads(path.read_bytes()) for path in sorted(GENERATED.glob("*.json"))}
QUERIES = [
    pytest.param(query, id=f"{name}: {panel['title']} {query.ref_id}")
    for name, dashboard in DASHBOARDS.items()
    for panel in query_panels(dashboard)
    for query in panel_queries(panel)
]
_MAX_IMAGE_BYTES = 500_000

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not prometheus_process.is_installed(), reason=prometheus_process.INSTALL_HINT),
    pytest.mark.timeout(1800),  # TorchServe, a rollback and two rollouts, on a machine that may be busy
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullStack]:
    with run_full_stack(tmp_path_factory.mktemp("stack")) as stack:
        stack.run_rollouts()
        yield stack


@pytest.fixture(scope="module")
def period(stack: FullStack) -> Period:
    """Return the last minutes of the load, which ends before the first query."""
    end = stack.stop_load()
    return Period(end - 300, end, 5.0)


@pytest.mark.parametrize("query", QUERIES)
def test_panel_query_returns_values(query: PanelQuery, stack: FullStack, period: Period) -> None:
    series_list = run_query(stack.prometheus.url, query, period)
    assert any(series.has_values() for series in series_list), interpolate(query.expr, period)


@pytest.mark.parametrize("query", QUERIES)
def test_panel_query_selectors_match_series(query: PanelQuery, stack: FullStack, period: Period) -> None:
    for selector in selectors(interpolate(query.expr, period)):
        assert has_series(stack.prometheus, selector, period.end), selector


@lru_cache
def has_series(prometheus: PrometheusProcess, selector: str, end: float) -> bool:
    return bool(prometheus.query(f"last_over_time({selector}[10m])", time=f"{end:.3f}"))


def selectors(query: str) -> list[str]:
    """Return the selectors of a query. `… or vector(0)` would return a value even for a metric that does not exist."""
    found: list[str] = []

    def collect(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector) and node.name != "ALERTS":
            found.append(node.prettify())

    promql_parser.walk(promql_parser.parse(query), collect)
    return found


@pytest.mark.parametrize("query", [one for one in QUERIES if one.values[0].exemplars])
def test_exemplars_have_trace_ids(query: PanelQuery, stack: FullStack, period: Period) -> None:
    exemplars = run_exemplar_query(stack.prometheus.url, query, period)
    assert exemplars
    assert all(len(exemplar.trace_id) == 32 for exemplar in exemplars)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_variables_have_values(name: str, stack: FullStack) -> None:
    for variable in DASHBOARDS[name]["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = variable["query"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
            filled = interpolate(selector, Period(0, 0, 1))
            assert stack.prometheus.get_api(f"label/{label}/values", **{"match[]": filled}), variable["query"]


def test_rollout_annotation_returns_events(stack: FullStack, period: Period) -> None:
    [annotation] = DASHBOARDS["overview"]["annotations"]["list"]
    assert run_query(stack.prometheus.url, PanelQuery(annotation["expr"], "", False, "A"), period), annotation["expr"]


@pytest.mark.parametrize("name", ["overview", "request-path", "rollout"])  # together they have all types of panels
def test_dashboard_is_rendered_as_an_image(name: str, stack: FullStack, period: Period, tmp_path: Path) -> None:
    render_dashboard(DASHBOARDS[name], stack.prometheus.url, period, tmp_path / "dashboard.png")
    with Image.open(tmp_path / "dashboard.png") as image:
        assert image.width == 1600
        assert len(image.convert("RGB").getcolors(1 << 16) or ()) > 20
    assert (tmp_path / "dashboard.png").stat().st_size < _MAX_IMAGE_BYTES


def test_fake_cluster_metrics_are_declared_external_metrics(stack: FullStack) -> None:
    declared = {metric.name for metric in EXTERNAL_METRICS}
    assert {family.name for family in fake_cluster_exporter.FakeClusterCollector().collect()} <= declared | {
        name.removesuffix("_total") for name in declared
    }
