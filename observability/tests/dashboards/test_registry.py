"""Generated dashboards: up to date, complete, and consistent with SLOs, judge policy and runbooks."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from observability.dashboards.__main__ import GENERATED
from observability.dashboards.panels import Thresholds
from observability.dashboards.registry import render_files
from thale.release.judge.policy import read_policy
from thale.slo import read_slo

DASHBOARDS = {
    path.relative_to(GENERATED).as_posix(): json.loads(path.read_bytes()) for path in GENERATED.rglob("*.json")
}
GRAFANA_DASHBOARDS = {name: dashboard for name, dashboard in DASHBOARDS.items() if "/" not in name}
UIDS = {"overview", "request-path", "models", "rollout", "capacity", "cost", "slo", "runbooks"}
VARIABLES = {"environment", "model", "version"}

Panel = dict[str, Any]


def panels(dashboard: dict[str, Any]) -> Iterator[Panel]:
    return (panel for panel in dashboard["panels"] if panel["type"] not in ("row", "text"))


def test_generated_dashboards_are_up_to_date() -> None:
    existing = {path.relative_to(GENERATED).as_posix(): path.read_text() for path in GENERATED.rglob("*.json")}
    assert existing == render_files(), "run `make generate`"


def test_dashboard_uids_are_stable() -> None:
    assert {dashboard["uid"] for dashboard in GRAFANA_DASHBOARDS.values()} == {f"thale-{name}" for name in UIDS}
    assert all(
        name == f"{dashboard['uid'].removeprefix('thale-')}.json" for name, dashboard in GRAFANA_DASHBOARDS.items()
    )


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panel_has_unit_description_and_healthy_values(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        assert panel["fieldConfig"]["defaults"]["unit"] not in ("", "none"), panel["title"]
        description, healthy = panel["description"].split("\n\n**Healthy:** ")
        assert min(len(description), len(healthy)) > 2, panel["title"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_table_has_a_unit_for_each_column(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        if panel["type"] == "table":
            override_properties = [override["properties"] for override in panel["fieldConfig"]["overrides"]]
            units = [one["value"] for properties in override_properties for one in properties if one["id"] == "unit"]
            assert len(units) == len(panel["targets"]), panel["title"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_thresholds_are_ascending(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        first, *others = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert first is None, panel["title"]
        assert others == sorted(set(others)), panel["title"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_fill_rows_without_overlap(name: str) -> None:
    cells = [
        (x, y)
        for panel in DASHBOARDS[name]["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)) == 24 * (1 + max(y for _, y in cells))
    assert len({panel["id"] for panel in DASHBOARDS[name]["panels"]}) == len(DASHBOARDS[name]["panels"])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_uses_exactly_its_variables(name: str) -> None:
    dashboard = DASHBOARDS[name]
    offered_variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert offered_variables > VARIABLES
    queries = " ".join(target["expr"] for panel in panels(dashboard) for target in panel["targets"])
    used = set(re.findall(r"\$(\w+)", queries)) - {"__rate_interval"}
    assert used == ({"environment"} if name.endswith("runbooks.json") else VARIABLES)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_links_to_dashboards_runbooks_traces_and_logs(name: str) -> None:
    links = {link["title"]: link for link in DASHBOARDS[name]["links"]}
    assert list(links) == ["thale", "Runbooks", "Traces", "Logs"]
    assert links["thale"]["includeVars"]
    assert links["thale"]["keepTime"]
    assert "${traces}" in links["Traces"]["url"]
    assert "${logs}" in links["Logs"]["url"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_exemplars_come_from_buckets_and_panels_link_to_traces(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        exemplar_targets = [target for target in panel["targets"] if target.get("exemplar")]
        assert all("_bucket{" in target["expr"] for target in exemplar_targets), panel["title"]
        if panel["type"] == "timeseries" and exemplar_targets:
            links = [link["title"] for link in panel["fieldConfig"]["defaults"]["links"]]
            assert "Traces with this latency" in links, panel["title"]


def test_azure_dashboards_differ_only_in_traces_and_logs() -> None:
    for name, dashboard in GRAFANA_DASHBOARDS.items():
        azure = DASHBOARDS[f"azure/{name}"]
        assert [(panel["title"], panel.get("targets")) for panel in azure["panels"]] == [
            (panel["title"], panel.get("targets")) for panel in dashboard["panels"]
        ]
        kinds = {one["name"]: one["query"] for one in azure["templating"]["list"] if one["type"] == "datasource"}
        assert kinds["traces"] == kinds["logs"] == "grafana-azure-monitor-datasource"


def test_thresholds_follow_slo_and_judge_policy() -> None:
    slo, policy = read_slo(), read_policy()
    [success_rate] = [panel for panel in panels(DASHBOARDS["overview.json"]) if panel["title"] == "Success rate"]
    steps = success_rate["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["color"] for step in steps] == ["red", "yellow", "green"]
    assert steps[2]["value"] == slo.availability
    [drift] = [panel for panel in panels(DASHBOARDS["models.json"]) if panel["title"] == "Population stability index"]
    assert drift["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] == policy.drift.psi


def test_thresholds_colour_upwards_and_downwards() -> None:
    def steps(thresholds: Thresholds) -> list[tuple[float | None, str]]:
        return [(step.value, step.color) for step in thresholds.to_grafana().build().steps]

    assert steps(Thresholds(1, 5)) == [(None, "green"), (1, "yellow"), (5, "red")]
    assert steps(Thresholds(0.99, 0.9, lower_is_worse=True)) == [(None, "red"), (0.9, "yellow"), (0.99, "green")]
    assert steps(Thresholds(critical=1)) == [(None, "green"), (1, "red")]
    assert steps(Thresholds()) == [(None, "blue")]


def test_generated_dashboards_fit_into_config_maps() -> None:
    assert sum(len(Path(GENERATED / name).read_bytes()) for name in GRAFANA_DASHBOARDS) < 1_000_000


def test_runbooks_are_panels_and_link_to_panels() -> None:
    text = (Path(GENERATED).parents[1] / "runbooks.md").read_text()
    pages = {panel["title"]: panel for panel in DASHBOARDS["runbooks.json"]["panels"] if panel["type"] == "text"}
    assert set(re.findall(r"^## (\w+)$", text, re.MULTILINE)) <= pages.keys()
    numbers = {panel["id"]: title for title, panel in pages.items()}
    link = re.compile(r"\[(\w+)\]\(/d/thale-runbooks\?viewPanel=panel-(\d+)\)")
    for panel in pages.values():
        assert all(numbers[int(number)] == link_text for link_text, number in link.findall(panel["options"]["content"]))
        assert "](#" not in panel["options"]["content"]
