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
from tests.support.full_stack import RealStack, running_stack
from tests.support.prometheus_process import Prometheus
from thale.telemetry.external_metrics import FOREIGN
from tools.render_dashboards.preview import render
from tools.render_dashboards.queries import Period, Question, ask, ask_exemplars, expanded, panels, questions

BOARDS = {path.stem: json.loads(path.read_bytes()) for path in sorted(GENERATED.glob("*.json"))}
ASKED = [
    pytest.param(question, id=f"{name}: {panel['title']} {question.ref_id}")
    for name, board in BOARDS.items()
    for panel in panels(board)
    for question in questions(panel)
]
_LARGEST_PICTURE = 300_000

pytestmark = [
    pytest.mark.skipif(not prometheus_process.is_there(), reason=prometheus_process.MISSING),
    pytest.mark.timeout(600),  # TorchServe, a rollback and two trials, on a machine that may be busy
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        stack.live_through_rollouts()
        yield stack


@pytest.fixture
def period(stack: RealStack) -> Period:
    now = time.time()
    return Period(now - 300, now, 5.0)


@pytest.mark.parametrize("question", ASKED)
def test_a_query_is_answered(question: Question, stack: RealStack, period: Period) -> None:
    answers = ask(stack.prometheus.url, question, period)
    assert any(one.has_figures() for one in answers), expanded(question.expr, period)


@pytest.mark.parametrize("question", ASKED)
def test_every_series_that_a_query_names_is_there(question: Question, stack: RealStack, period: Period) -> None:
    for selector in selectors(expanded(question.expr, period)):
        assert was_told(stack.prometheus, selector), selector


@lru_cache
def was_told(prometheus: Prometheus, selector: str) -> bool:
    return bool(prometheus.query(f"last_over_time({selector}[10m])"))


def selectors(query: str) -> list[str]:
    """Return the selectors of a query: `… or vector(0)` would answer for a name that nobody tells."""
    found: list[str] = []

    def note(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector) and node.name != "ALERTS":
            found.append(node.prettify())

    promql_parser.walk(promql_parser.parse(query), note)
    return found


@pytest.mark.parametrize("question", [one for one in ASKED if one.values[0].exemplars])
def test_exemplars_lead_from_a_latency_to_traces(question: Question, stack: RealStack, period: Period) -> None:
    found = ask_exemplars(stack.prometheus.url, question, period)
    assert found
    assert all(len(one.trace_id) == 32 for one in found)


@pytest.mark.parametrize("name", BOARDS)
def test_variables_have_values_to_choose_from(name: str, stack: RealStack) -> None:
    for variable in BOARDS[name]["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = variable["query"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
            filled = expanded(selector, Period(0, 0, 1))
            assert stack.prometheus.ask(f"label/{label}/values", **{"match[]": filled}), variable["query"]


def test_rollouts_are_marked(stack: RealStack, period: Period) -> None:
    [mark] = BOARDS["overview"]["annotations"]["list"]
    assert ask(stack.prometheus.url, Question(mark["expr"], "", False, "A"), period), mark["expr"]


@pytest.mark.parametrize("name", ["overview", "request-path", "rollout"])  # which have all kinds of panels
def test_a_dashboard_becomes_a_picture(name: str, stack: RealStack, period: Period, tmp_path: Path) -> None:
    render(BOARDS[name], stack.prometheus.url, period, tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.width == 1600
        assert len(picture.convert("RGB").getcolors(1 << 16) or ()) > 20
    assert (tmp_path / "picture.png").stat().st_size < _LARGEST_PICTURE


def test_made_up_figures_have_the_names_that_are_declared_as_others(stack: RealStack) -> None:
    declared = {one.name for one in FOREIGN}
    assert {family.name for family in fake_cluster_exporter.Cluster().collect()} <= declared | {
        name.removesuffix("_total") for name in declared
    }
