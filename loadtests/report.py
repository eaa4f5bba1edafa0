"""Report of a load test: a Markdown page with the objectives and two plots, from the samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from loadtests.samples import HOSTILE, RequestSample
from loadtests.slo_check import SloResult
from thale.slo import Slo
from thale.telemetry.labels import size_class

WINDOW_COUNT = 12
"""Number of time windows of a plot."""
SIZE_COLOURS = {"1mp": "#2a7f62", "4mp": "#3d6fb6", "16mp": "#8a5fb0"}
_OUTCOMES = {
    "completed": "#2a7f62",
    "rejected: overload": "#e0a030",
    "failed": "#c0392b",
    "hostile, rejected": "#9a9a9a",
}
mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110})


@dataclass(frozen=True)
class RunInfo:
    """Parameters of a load test."""

    users: int
    minutes: float
    scenarios: Sequence[str]
    started_at: str


def write_report(
    folder: Path, samples: Sequence[RequestSample], results: Sequence[SloResult], slo: Slo, run_info: RunInfo
) -> Path:
    """Write report.md, latency.png and throughput.png into a folder; return the page."""
    plot_latency(samples, slo).savefig(folder / "latency.png")
    plot_throughput(samples).savefig(folder / "throughput.png")
    page = folder / "report.md"
    page.write_text(_render_page(samples, results, run_info), encoding="utf-8")
    return page


def plot_latency(samples: Sequence[RequestSample], slo: Slo) -> Figure:
    """Plot latency by size class: every response, median and 99th percentile per window, and the objective."""
    objectives = {size_class(latency.up_to_megapixels): latency.p99_s for latency in slo.latency}
    figure = Figure(figsize=(9, 2.2 * len(objectives)), layout="constrained")
    panels = figure.subplots(len(objectives), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (size, objective_s) in zip(panels, objectives.items(), strict=True):
        succeeded = [sample for sample in samples if sample.size == size and sample.is_success]
        _plot_percentiles(panel, succeeded, SIZE_COLOURS.get(size, "#555555"))
        panel.axhline(
            objective_s, color="#c0392b", linestyle="--", linewidth=1, label=f"objective p99, {objective_s:g} s"
        )
        panel.set_ylabel(f"{size}: seconds")
        panel.set_ylim(0, 1.35 * panel.get_ylim()[1])  # space for the legend
        panel.legend(loc="upper left", frameon=False, ncols=4)
    panels[-1].set_xlabel("seconds since the first request")
    figure.suptitle("Latency")
    return figure


def plot_throughput(samples: Sequence[RequestSample]) -> Figure:
    """Plot the throughput by outcome, stacked, at the time of the responses."""
    figure = Figure(figsize=(9, 3), layout="constrained")
    panel = figure.subplots()
    ends = np.array([sample.at_s + sample.duration_s for sample in samples])
    edges = _window_edges(ends)
    width_s = edges[1] - edges[0]
    outcomes = np.array([_classify_outcome(sample) for sample in samples])
    bottom = np.zeros(WINDOW_COUNT)
    for name, colour in _OUTCOMES.items():
        rates = np.histogram(ends[outcomes == name], edges)[0] / width_s
        panel.bar(edges[:-1], rates, width_s, bottom=bottom, align="edge", color=colour, label=name)
        bottom += rates
    panel.set_ylim(0, 1.25 * max(0.1, bottom.max()))  # space for the legend
    panel.set_xlabel("seconds since the first request")
    panel.set_ylabel("requests per second")
    panel.set_title("Throughput by outcome")
    panel.legend(loc="upper left", frameon=False, ncols=4)
    return figure


def _plot_percentiles(panel: Axes, succeeded: Sequence[RequestSample], colour: str) -> None:
    if not succeeded:
        panel.text(
            0.5, 0.5, "no successful response in this class", transform=panel.transAxes, ha="center", color="#777777"
        )
        return
    at_s = np.array([sample.at_s + sample.duration_s for sample in succeeded])
    durations_s = np.array([sample.duration_s for sample in succeeded])
    panel.plot(at_s, durations_s, ".", color=colour, alpha=0.35, markersize=4)
    edges = _window_edges(at_s)
    window = np.clip(np.searchsorted(edges, at_s, side="right") - 1, 0, len(edges) - 2)
    for quantile, style in ((0.5, "-"), (0.99, ":")):
        steps = [
            np.quantile(durations_s[window == k], quantile) if (window == k).any() else np.nan
            for k in range(WINDOW_COUNT)
        ]
        panel.stairs(
            steps, edges, color=colour, linestyle=style, linewidth=1.6, baseline=None, label=f"p{100 * quantile:g}"
        )


def _window_edges(at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linspace(0, max(1e-3, float(at_s.max(initial=0.0))) * (1 + 1e-9), WINDOW_COUNT + 1)


def _classify_outcome(sample: RequestSample) -> str:
    if sample.size == HOSTILE:
        return "failed" if sample.error else "hostile, rejected"
    if sample.status in (429, 503):
        return "rejected: overload"
    return "failed" if sample.is_server_failure else "completed"


def _render_page(samples: Sequence[RequestSample], results: Sequence[SloResult], run_info: RunInfo) -> str:
    regular_samples = [sample for sample in samples if sample.size != HOSTILE]
    duration_s = max((sample.at_s + sample.duration_s for sample in samples), default=0.0)
    rows = [
        f"| {result.objective} | {result.requests} | {result.misses} | {result.measured} | "
        f"{result.worst.replace('|', '/')} | {result.verdict} |"
        for result in results
    ]
    return "\n".join(
        [
            f"# Load test of {run_info.started_at}",
            "",
            f"{run_info.users} users ({', '.join(run_info.scenarios)}) for {run_info.minutes:g} min: "
            f"{len(regular_samples)} requests and "
            f"{len(samples) - len(regular_samples)} hostile ones in {duration_s:.0f} s, "
            f"{sum(s.is_success for s in regular_samples) / max(duration_s, 1e-3):.2f} successful responses/s.",
            "",
            "| Objective | Requests | Misses | Measured | Worst | Verdict |",
            "|---|---:|---:|---|---|---|",
            *rows,
            "",
            "![latency by size class](latency.png)",
            "",
            "![requests by outcome](throughput.png)",
            "",
        ]
    )
