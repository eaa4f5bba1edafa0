"""The runbooks inside Grafana: what an alert means stands where it is looked for, and is as old as the dashboards.

A panel for each heading of observability/runbooks.md, two side by side; links between headings lead to the panels.
"""

import math
import re
from pathlib import Path

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards.dashboard import ENVIRONMENT, RUNBOOKS, Row, board
from observability.dashboards.links import Backend
from observability.dashboards.panels import Column, Drawn, Limits, figures, prose
from thale.slo import Slo

SOURCE = Path(__file__).parents[1] / "runbooks.md"
_LETTERS_A_LINE, _LINE_PX, _FRAME_PX, _GRID_PX = 105, 22, 60, 38
_BEFORE = 4
"""Panels that come before those of the headings: two rows, the alerts, the preface."""


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    preface, *sections = re.split(r"^## +", SOURCE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    runbooks = [(name, text.strip()) for name, _, text in (section.partition("\n") for section in sections)]
    places = {name.lower(): number for number, (name, _) in enumerate(runbooks, _BEFORE + 1)}
    firing = figures(
        "Alerts that fire now",
        ["alertname", "severity"],
        Column(
            "Firing",
            f'count by (alertname, severity) (ALERTS{{{ENVIRONMENT},alertstate="firing"}})',
            "suffix: times",
            Limits(look=1),
        ),
        unit="short",
        shows="Alerts that fire, and for how many things. The panel of the same name below says what to do.",
        good="An empty table.",
    )
    how_to_read = prose("How to read them", preface.partition("\n")[2].strip(), height=8)
    rows = [
        Row("Now", [firing, how_to_read]),
        Row("What it means, what users notice, what to look at, what to do", _pairs(runbooks, places)),
    ]
    purpose = "What each alert means, what users notice, what to look at, what to do, and how to know that it worked."
    return board(RUNBOOKS, "Runbooks", purpose, rows, backend)


def _pairs(runbooks: list[tuple[str, str]], places: dict[str, int]) -> list[Drawn]:
    """Return a panel for each runbook; two neighbours are as high as the longer of them."""
    heights = [_height(text) for _, text in runbooks]
    panels = []
    for place, (name, text) in enumerate(runbooks):
        row = place - place % 2
        panels.append(prose(name, _linked(text, places), height=max(heights[row : row + 2])))
    if len(panels) % 2:
        panels.append(prose("", "", height=heights[-1]))
    return panels


def _linked(text: str, places: dict[str, int]) -> str:
    """Return the text with its links to headings leading to their panels."""
    return re.sub(r"\(#([\w-]+)\)", lambda link: f"(/d/{RUNBOOKS}?viewPanel=panel-{places[link[1]]})", text)


def _height(text: str) -> int:
    paragraphs = [len(line) for line in re.sub(r"(?<!\n)\n(?![\n`-])", " ", text).splitlines()]
    lines = sum(max(1, math.ceil(length / _LETTERS_A_LINE)) for length in paragraphs)
    return math.ceil((lines * _LINE_PX + _FRAME_PX) / _GRID_PX)
