"""Draw the dashboards from what a Prometheus answers, for those without a Grafana and for the documentation.

python tools/render_dashboards/preview.py --prometheus http://127.0.0.1:9095 --minutes 30 --out docs/dashboards
"""

import argparse
import json
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1])]

from tools.render_dashboards.layout import Page  # noqa: E402
from tools.render_dashboards.plots import draw  # noqa: E402
from tools.render_dashboards.queries import Period, ask, ask_exemplars, panels, questions  # noqa: E402 (found by the line above)

GENERATED = Path(__file__).parent / "dashboards" / "generated"
_POINTS = 240
_LEAST_STEP_S = 1.0


def render(board: Mapping[str, Any], url: str, period: Period, path: Path) -> None:
    """Draw one dashboard.

    Raises:
        QueryError: If Prometheus does not take one of its queries.
    """
    page = Page(board)
    minutes = (period.end - period.start) / 60
    chosen = {name: "All" for name in ("Environment", "Model", "Version")}
    page.header(board["title"], chosen, [link["title"] for link in board["links"]], f"Last {minutes:g} minutes")
    for panel in board["panels"]:
        if panel["type"] == "row":
            page.heading(panel["title"], page.place(panel["gridPos"]))
    for panel in panels(board):
        asked = questions(panel)
        answers = {question.ref_id: ask(url, question, period) for question in asked}
        exemplars = [one for question in asked if question.exemplars for one in ask_exemplars(url, question, period)]
        draw(page, panel, answers, exemplars, period)
    page.save(path)


def draw_all(url: str, period: Period, folder: Path, names: Collection[str] = ()) -> None:
    """Draw these dashboards, or all of them, into a folder.

    Raises:
        QueryError: If Prometheus does not take one of their queries.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(GENERATED.glob("*.json")):
        if path.stem in names or (not names and path.stem != "runbooks"):  # which is prose
            render(json.loads(path.read_bytes()), url, period, folder / f"{path.stem}.png")


def last_minutes(minutes: float) -> Period:
    """Return the period that ends now."""
    end = time.time()
    return Period(end - 60 * minutes, end, max(_LEAST_STEP_S, 60 * minutes / _POINTS))


def main() -> int:
    """Draw what was asked for. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="where Prometheus listens")
    parser.add_argument("--minutes", type=float, default=30, help="how far back")
    parser.add_argument("--out", type=Path, default=Path("docs/dashboards"), help="folder for the pictures")
    parser.add_argument("names", nargs="*", help="only these dashboards, such as overview")
    given = parser.parse_args()
    draw_all(given.prometheus, last_minutes(given.minutes), given.out, given.names)
    return 0


if __name__ == "__main__":
    sys.exit(main())
