"""Plot of a simulated day: load, rejections, latency, replicas and nodes."""

import math
from pathlib import Path

from thale.capacity.day_simulation import WINDOW_S, DaySimulation
from thale.capacity.plan import Plan
from thale.errors import ParameterError


def plot_day(path: Path, day: DaySimulation, plan: Plan, title: str) -> None:
    """Write the plot of a day as PNG.

    Raises:
        ParameterError: If matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ParameterError("--plot requires matplotlib: pip install 'thale[loadtest]'") from error
    hours = [window.at_s / 3600 for window in day.windows]
    figure = Figure(figsize=(9, 8), layout="constrained", dpi=110)
    load, latency, pods, nodes = figure.subplots(4, 1, sharex=True)
    load.fill_between(hours, [window.sent / WINDOW_S for window in day.windows], color="#9db8d6", label="requests/s")
    failed = [(window.rejected + window.timed_out) / WINDOW_S for window in day.windows]
    load.fill_between(hours, failed, color="#c0392b", label="rejected or timed out")
    latency.plot(hours, [window.p99_s for window in day.windows], color="#3d6fb6", label="p99, seconds")
    latency.plot(hours, [window.p50_s for window in day.windows], color="#8fb0da", label="p50, seconds")
    for name, colour in (("facades", "#2a7f62"), ("segmentation", "#8a5fb0"), ("landmarks", "#d08a2e")):
        pods.step(hours, [getattr(window, name) for window in day.windows], where="post", color=colour, label=name)
    nodes.step(hours, [window.nodes for window in day.windows], where="post", color="#555555", label="general nodes")
    if plan.gpu:
        nodes.step(
            hours, [window.gpu_nodes for window in day.windows], where="post", color="#c0392b", label="GPU nodes"
        )
    for panel in (load, latency, pods, nodes):
        panel.set_ylim(0, None if math.isnan(panel.get_ylim()[1]) else 1.25 * panel.get_ylim()[1])
        panel.legend(loc="upper left", frameon=False, ncols=3)
        panel.spines[["top", "right"]].set_visible(False)
    nodes.set(xlabel="hour of the day", xlim=(0, 24), xticks=range(0, 25, 3))
    load.set_title(title, fontsize=10)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise ParameterError(f"the plot {path} is not writable: {error}") from error
