"""Every query of every panel finds something in a real Prometheus that watches the real stack under load."""

import json
import time
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
_MAX_PICTURE_BYTES = 300_000

pytestmark = [
    pytest.mark.skipif(not prometheus_process.is_installed(), reason=prometheus_process.INSTALL_HINT),
    pytest.mark.timeout(600),  # TorchServe, a rollback and two trials, on a machine that may be busy
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullStack]:
    with run_full_stack(tmp_path_factory.mktemp("stack")) as stack:
        stack.run_rollouts()
        yield stack


@pytest.fixture
def period(stack: FullStack) -> Period:
    now = time.time()
    return Period(now - 300, now, 5.0)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_answered(query: PanelQuery, stack: FullStack, period: Period) -> None:
    series_list = run_query(stack.prometheus.url, query, period)
    assert any(one.has_values() for one in series_list), interpolate(query.expr, period)


@pytest.mark.parametrize("query", QUERIES)
def test_every_series_that_a_query_names_is_there(query: PanelQuery, stack: FullStack, period: Period) -> None:
    for selector in selectors(interpolate(query.expr, period)):
        assert has_series(stack.prometheus, selector), selector


@lru_cache
def has_series(prometheus: PrometheusProcess, selector: str) -> bool:
    return bool(prometheus.query(f"last_over_time({selector}[10m])"))


def selectors(query: str) -> list[str]:
    """Return the selectors of a query: `… or vector(0)` would answer for a name that nobody tells."""
    found_selectors: list[str] = []

    def collect(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector) and node.name != "ALERTS":
            found_selectors.append(node.prettify())

    promql_parser.walk(promql_parser.parse(query), collect)
    return found_selectors


@pytest.mark.parametrize("query", [one for one in QUERIES if one.values[0].exemplars])
def test_exemplars_lead_from_a_latency_to_traces(query: PanelQuery, stack: FullStack, period: Period) -> None:
    exemplars = run_exemplar_query(stack.prometheus.url, query, period)
    assert exemplars
    assert all(len(one.trace_id) == 32 for one in exemplars)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_variables_have_values_to_choose_from(name: str, stack: FullStack) -> None:
    for variable in DASHBOARDS[name]["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = variable["query"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
            filled = interpolate(selector, Period(0, 0, 1))
            assert stack.prometheus.get_api(f"label/{label}/values", **{"match[]": filled}), variable["query"]


def test_rollouts_are_marked(stack: FullStack, period: Period) -> None:
    [annotation] = DASHBOARDS["overview"]["annotations"]["list"]
    assert run_query(stack.prometheus.url, PanelQuery(annotation["expr"], "", False, "A"), period), annotation["expr"]


@pytest.mark.parametrize("name", ["overview", "request-path", "rollout"])  # which have all kinds of panels
def test_a_dashboard_becomes_a_picture(name: str, stack: FullStack, period: Period, tmp_path: Path) -> None:
    render_dashboard(DASHBOARDS[name], stack.prometheus.url, period, tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.width == 1600
        assert len(picture.convert("RGB").getcolors(1 << 16) or ()) > 20
    assert (tmp_path / "picture.png").stat().st_size < _MAX_PICTURE_BYTES


def test_made_up_figures_have_the_names_that_are_declared_as_others(stack: FullStack) -> None:
    declared = {one.name for one in EXTERNAL_METRICS}
    assert {family.name for family in fake_cluster_exporter.FakeClusterCollector().collect()} <= declared | {
        name.removesuffix("_total") for name in declared
    }
