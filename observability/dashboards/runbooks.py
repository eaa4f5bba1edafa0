"""Runbooks dashboard: observability/runbooks.md inside Grafana, at the same revision as the dashboards.

Each heading is a panel, in two columns. Links between headings become links between panels.
"""

import math
import re
from pathlib import Path

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards.dashboard import ENVIRONMENT, RUNBOOKS_UID, PanelRow, build_dashboard
from observability.dashboards.links import Backend
from observability.dashboards.panels import Column, PanelBuilder, Thresholds, table_panel, text_panel
from thale.slo import Slo

SOURCE = Path(__file__).parents[1] / "runbooks.md"
_CHARACTERS_PER_LINE, _LINE_PX, _PANEL_FRAME_PX, _GRID_PX = 105, 22, 60, 38
_PANELS_BEFORE_RUNBOOKS = 4
"""Number of panels before the first runbook: two rows, the firing alerts, the preface."""


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    preface, *sections = re.split(r"^## +", SOURCE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    runbooks = [(name, text.strip()) for name, _, text in (section.partition("\n") for section in sections)]
    panel_numbers = {name.lower(): number for number, (name, _) in enumerate(runbooks, _PANELS_BEFORE_RUNBOOKS + 1)}
    firing = table_panel(
        "Firing alerts",
        ["alertname", "severity"],
        Column(
            "Firing",
            f'count by (alertname, severity) (ALERTS{{{ENVIRONMENT},alertstate="firing"}})',
            "suffix: alerts",
            Thresholds(warning=1),
        ),
        unit="short",
        description="Number of firing alerts by name and severity. The panel with the alert's name is its runbook.",
        healthy="An empty table.",
    )
    introduction = text_panel("Introduction", preface.partition("\n")[2].strip(), height=8)
    rows = [
        PanelRow("Firing alerts", [firing, introduction]),
        PanelRow("Runbooks", _runbook_panels(runbooks, panel_numbers)),
    ]
    description = "Meaning, impact, diagnosis, mitigation and verification of each alert."
    return build_dashboard(RUNBOOKS_UID, "Runbooks", description, rows, backend)


def _runbook_panels(runbooks: list[tuple[str, str]], panel_numbers: dict[str, int]) -> list[PanelBuilder]:
    """Return a panel for each runbook. Two panels in a row have the same height."""
    heights = [_panel_height(text) for _, text in runbooks]
    panels = []
    for index, (name, text) in enumerate(runbooks):
        pair_start = index - index % 2
        panels.append(
            text_panel(name, _resolve_links(text, panel_numbers), height=max(heights[pair_start : pair_start + 2]))
        )
    if len(panels) % 2:
        panels.append(text_panel("", "", height=heights[-1]))
    return panels


def _resolve_links(text: str, panel_numbers: dict[str, int]) -> str:
    """Return the text with links to panels instead of headings."""
    return re.sub(r"\(#([\w-]+)\)", lambda link: f"(/d/{RUNBOOKS_UID}?viewPanel=panel-{panel_numbers[link[1]]})", text)


def _panel_height(text: str) -> int:
    paragraphs = [len(line) for line in re.sub(r"(?<!\n)\n(?![\n`-])", " ", text).splitlines()]
    lines = sum(max(1, math.ceil(length / _CHARACTERS_PER_LINE)) for length in paragraphs)
    return math.ceil((lines * _LINE_PX + _PANEL_FRAME_PX) / _GRID_PX)
