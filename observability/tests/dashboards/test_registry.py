"""Dashboards as they are written: fresh, complete, and at one with the promises and the runbooks."""

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


def test_what_is_generated_is_fresh() -> None:
    existing = {path.relative_to(GENERATED).as_posix(): path.read_text() for path in GENERATED.rglob("*.json")}
    assert existing == render_files(), "run `make dashboards`"


def test_uids_never_change() -> None:
    assert {dashboard["uid"] for dashboard in GRAFANA_DASHBOARDS.values()} == {f"thale-{name}" for name in UIDS}
    assert all(
        name == f"{dashboard['uid'].removeprefix('thale-')}.json" for name, dashboard in GRAFANA_DASHBOARDS.items()
    )


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_panel_has_a_unit_and_says_what_good_looks_like(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        assert panel["fieldConfig"]["defaults"]["unit"] not in ("", "none"), panel["title"]
        shows, good = panel["description"].split("\n\n**Good:** ")
        assert min(len(shows), len(good)) > 2, panel["title"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_table_has_a_unit_for_each_of_its_columns(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        if panel["type"] == "table":
            override_properties = [override["properties"] for override in panel["fieldConfig"]["overrides"]]
            units = [one["value"] for properties in override_properties for one in properties if one["id"] == "unit"]
            assert len(units) == len(panel["targets"]), panel["title"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_thresholds_rise(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        first, *others = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert first is None, panel["title"]
        assert others == sorted(set(others)), panel["title"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_rows_are_full_and_panels_do_not_overlap(name: str) -> None:
    cells = [
        (x, y)
        for panel in DASHBOARDS[name]["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)) == 24 * (1 + max(y for _, y in cells))
    assert len({panel["id"] for panel in DASHBOARDS[name]["panels"]}) == len(DASHBOARDS[name]["panels"])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_uses_the_variables_that_it_offers_and_no_others(name: str) -> None:
    dashboard = DASHBOARDS[name]
    offered_variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert offered_variables > VARIABLES
    queries = " ".join(target["expr"] for panel in panels(dashboard) for target in panel["targets"])
    used = set(re.findall(r"\$(\w+)", queries)) - {"__rate_interval"}
    assert used == ({"environment"} if name.endswith("runbooks.json") else VARIABLES)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_links_lead_to_the_other_dashboards_to_runbooks_to_traces_and_to_logs(name: str) -> None:
    links = {link["title"]: link for link in DASHBOARDS[name]["links"]}
    assert list(links) == ["thale", "Runbooks", "Traces", "Logs"]
    assert links["thale"]["includeVars"]
    assert links["thale"]["keepTime"]
    assert "${traces}" in links["Traces"]["url"]
    assert "${logs}" in links["Logs"]["url"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_exemplars_are_those_of_buckets_and_lines_lead_to_traces_as_slow(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        exemplar_targets = [target for target in panel["targets"] if target.get("exemplar")]
        assert all("_bucket{" in target["expr"] for target in exemplar_targets), panel["title"]
        if panel["type"] == "timeseries" and exemplar_targets:
            links = [link["title"] for link in panel["fieldConfig"]["defaults"]["links"]]
            assert "Traces as slow as this" in links, panel["title"]


def test_azures_dashboards_differ_in_where_traces_and_logs_are_alone() -> None:
    for name, dashboard in GRAFANA_DASHBOARDS.items():
        azure = DASHBOARDS[f"azure/{name}"]
        assert [(panel["title"], panel.get("targets")) for panel in azure["panels"]] == [
            (panel["title"], panel.get("targets")) for panel in dashboard["panels"]
        ]
        kinds = {one["name"]: one["query"] for one in azure["templating"]["list"] if one["type"] == "datasource"}
        assert kinds["traces"] == kinds["logs"] == "grafana-azure-monitor-datasource"


def test_limits_are_those_of_the_promises() -> None:
    slo, policy = read_slo(), read_policy()
    [succeed] = [panel for panel in panels(DASHBOARDS["overview.json"]) if panel["title"] == "Requests that succeed"]
    steps = succeed["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["color"] for step in steps] == ["red", "yellow", "green"]
    assert steps[2]["value"] == slo.availability
    [drift] = [panel for panel in panels(DASHBOARDS["models.json"]) if panel["title"] == "Population stability index"]
    assert drift["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] == policy.drift.psi


def test_limits_colour_upwards_and_downwards() -> None:
    def steps(limits: Thresholds) -> list[tuple[float | None, str]]:
        return [(step.value, step.color) for step in limits.to_grafana().build().steps]

    assert steps(Thresholds(1, 5)) == [(None, "green"), (1, "yellow"), (5, "red")]
    assert steps(Thresholds(0.99, 0.9, lower_is_worse=True)) == [(None, "red"), (0.9, "yellow"), (0.99, "green")]
    assert steps(Thresholds(critical=1)) == [(None, "green"), (1, "red")]
    assert steps(Thresholds()) == [(None, "blue")]


def test_generated_files_are_small_enough_for_a_config_map() -> None:
    assert sum(len(Path(GENERATED / name).read_bytes()) for name in GRAFANA_DASHBOARDS) < 1_000_000


def test_every_runbook_is_a_panel_and_links_between_them_lead_to_panels() -> None:
    text = (Path(GENERATED).parents[1] / "runbooks.md").read_text()
    pages = {panel["title"]: panel for panel in DASHBOARDS["runbooks.json"]["panels"] if panel["type"] == "text"}
    assert set(re.findall(r"^## (\w+)$", text, re.MULTILINE)) <= pages.keys()
    numbers = {panel["id"]: title for title, panel in pages.items()}
    link = re.compile(r"\[(\w+)\]\(/d/thale-runbooks\?viewPanel=panel-(\d+)\)")
    for panel in pages.values():
        assert all(numbers[int(number)] == link_text for link_text, number in link.findall(panel["options"]["content"]))
        assert "](#" not in panel["options"]["content"]
