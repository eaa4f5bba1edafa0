"""Images of the dashboards with data from a Prometheus, for users without Grafana and for the documentation.

python tools/render_dashboards/preview.py --prometheus http://127.0.0.1:9095 --minutes 30 --out docs/dashboards
"""

import argparse
import json
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2])]

from tools.render_dashboards.layout import DashboardPage  # noqa: E402
from tools.render_dashboards.plots import draw_panel  # noqa: E402
from tools.render_dashboards.queries import Period, panel_queries, query_panels, run_exemplar_query, run_query  # noqa: E402 (needs the path set above)

GENERATED = Path(__file__).parents[2] / "observability" / "dashboards" / "generated"
_MAX_POINTS = 240
_MIN_STEP_S = 1.0


def render_dashboard(dashboard: Mapping[str, Any], url: str, period: Period, path: Path) -> None:
    """Render one dashboard as an image.

    Raises:
        QueryError: If Prometheus rejects one of its queries.
    """
    page = DashboardPage(dashboard)
    minutes = (period.end - period.start) / 60
    variables = {name: "All" for name in ("Environment", "Model", "Version")}
    page.draw_header(
        dashboard["title"], variables, [link["title"] for link in dashboard["links"]], f"Last {minutes:g} minutes"
    )
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            page.draw_row_heading(panel["title"], page.panel_box(panel["gridPos"]))
    for panel in query_panels(dashboard):
        queries = panel_queries(panel)
        results = {query.ref_id: run_query(url, query, period) for query in queries}
        exemplars = [
            exemplar for query in queries if query.exemplars for exemplar in run_exemplar_query(url, query, period)
        ]
        draw_panel(page, panel, results, exemplars, period)
    page.save(path)


def render_all(url: str, period: Period, folder: Path, names: Collection[str] = ()) -> None:
    """Render the named dashboards, or all of them, into a folder.

    Raises:
        QueryError: If Prometheus rejects one of their queries.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(GENERATED.glob("*.json")):
        if path.stem in names or (not names and path.stem != "runbooks"):  # which has text only
            render_dashboard(json.loads(path.read_bytes()), url, period, folder / f"{path.stem}.png")


def recent_period(minutes: float) -> Period:
    """Return the period that ends now."""
    end = time.time()
    return Period(end - 60 * minutes, end, max(_MIN_STEP_S, 60 * minutes / _MAX_POINTS))


def main() -> int:
    """Render the requested dashboards. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="URL of Prometheus")
    parser.add_argument("--minutes", type=float, default=30, help="length of the time range up to now")
    parser.add_argument("--out", type=Path, default=Path("docs/dashboards"), help="folder for the images")
    parser.add_argument("names", nargs="*", help="names of dashboards, such as overview; default: all")
    options = parser.parse_args()
    render_all(options.prometheus, recent_period(options.minutes), options.out, options.names)
    return 0


if __name__ == "__main__":
    sys.exit(main())
