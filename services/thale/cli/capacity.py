"""`thale capacity`: replicas, nodes and cost for a load, and a simulated day of traffic."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from thale.capacity.benchmark import Benchmark, read_benchmark
from thale.capacity.cluster_scaling import Delays
from thale.capacity.day_simulation import WINDOW_S, DaySimulation, DayWindow, simulate_day
from thale.capacity.environment_limits import EnvironmentLimits, read_environment_limits
from thale.capacity.nodes import Prices, read_prices
from thale.capacity.plan import Demand, Plan, plan
from thale.capacity.plots import plot_day
from thale.errors import ParameterError
from thale.slo import Slo, read_slo
from thale.telemetry.labels import size_class

_WINDOWS_PER_ROW = 8
"""Windows of 15 minutes per row. The row shows the worst of them."""


@dataclass(frozen=True)
class CapacityOptions:
    """Options of `thale capacity`."""

    demand: Demand
    environment: str
    benchmark: Path | None
    prices: Path | None
    day: bool
    limits: str
    delays: Delays
    seed: int
    plot: Path | None


def read_mix(text: str) -> dict[str, float]:
    """Parse the shares of the image size classes, such as 1mp=0.2,4mp=0.5,16mp=0.3.

    Raises:
        ParameterError: If the text has another format.
    """
    mix: dict[str, float] = {}
    for item in text.split(","):
        name, is_given, share = item.strip().partition("=")
        try:
            if not is_given or name in mix:
                raise ValueError(item)
            mix[name] = float(share)
        except ValueError:
            raise ParameterError(
                f"{item!r} is not a share: pass each class once, such as 1mp=0.2,4mp=0.5,16mp=0.3"
            ) from None
    return mix


def print_plan(options: CapacityOptions, console: Console) -> None:
    """Print the plan, and the simulated day if requested.

    Raises:
        ParameterError: If an option is invalid, or a file cannot be read.
    """
    environments = read_environment_limits()
    if options.environment not in environments:
        raise ParameterError(f"unknown environment {options.environment!r}: pass one of {', '.join(environments)}")
    limits, benchmark, prices = (
        environments[options.environment],
        read_benchmark(options.benchmark),
        read_prices(options.prices),
    )
    capacity_plan = plan(options.demand, benchmark, limits, prices)
    _print_assumptions(options.demand, benchmark, prices, console)
    console.print(_plan_table(capacity_plan, limits, prices, options.environment))
    _print_limits(capacity_plan, options.environment, console)
    if not options.day:
        return
    with console.status("simulating a day"):
        day = simulate_day(capacity_plan, benchmark, limits, options.delays, options.seed, options.limits)
    console.print(_day_table(day, capacity_plan))
    _print_day(day, capacity_plan, prices, read_slo(), options, console)
    if options.plot is not None:
        rps = f"{capacity_plan.demand.rps:g} requests/s in the busiest hour"
        title = f"{options.environment}: {rps}, limits as {options.limits}"
        plot_day(options.plot, day, capacity_plan, title)
        console.print(f"plot: {escape(str(options.plot))}", soft_wrap=True)


def _print_assumptions(demand: Demand, benchmark: Benchmark, prices: Prices, console: Console) -> None:
    machine = benchmark.machine
    console.print(
        f"Measured {benchmark.measured_at:%Y-%m-%d %H:%M} UTC on {machine.cores} cores of {escape(machine.cpu_model)} "
        f"(thale {benchmark.versions.get('thale', '?')}; other processes used {machine.background_cpu_fraction:.0%}): "
        f"{sum(benchmark.cpu_seconds(dict(demand.mix)).values()):.2f} CPU seconds per image of this mix; knee at "
        f"{benchmark.knee().rps:.2f} responses/s.",
        highlight=False,
    )
    console.print(
        f"Assumptions: the same CPU seconds on the cluster's cores, {demand.efficiency:.0%} of a predictor's cores "
        f"busy during inference, load spread evenly; {demand.headroom:.0%} headroom. Prices of {prices.date}, "
        f"{prices.currency}.",
        highlight=False,
    )
    if machine.background_cpu_fraction > 0.25:
        console.print(
            "[yellow]![/] other processes used the machine during the benchmark: run `make knee` on an idle machine"
        )


def _plan_table(capacity_plan: Plan, limits: EnvironmentLimits, prices: Prices, environment: str) -> Table:
    demand = capacity_plan.demand
    mix = ", ".join(f"{share:.0%} {size}" for size, share in demand.mix.items())
    table = Table(title=f"{environment}: {demand.rps:g} requests/s of {mix}")
    for column in ("Workload", "Busy cores", "Required", "Autoscaler", "Allowed"):
        table.add_column(column, justify="left" if column == "Workload" else "right")
    for name, found in capacity_plan.replicas.items():
        hpa = found.workload.hpa
        allowed = f"{hpa.min_replicas} to {hpa.max_replicas}"
        table.add_row(f"{name} replicas", f"{found.busy_cores:.1f}", str(found.required), str(found.count), allowed)
    table.add_section()
    pools = [("general", capacity_plan.general, capacity_plan.general_nodes, limits.general_pool)]
    pools += (
        [("inference (GPU)", capacity_plan.gpu, capacity_plan.gpu_nodes, limits.gpu_pool)] if capacity_plan.gpu else []
    )
    for name, node, count, pool in pools:
        label = f"{name} nodes, {node.vm_size.removeprefix('Standard_')}"
        table.add_row(label, "", "", str(count), f"{pool.min_nodes} to {pool.max_nodes}")
    month = capacity_plan.cost_per_hour * prices.hours_per_month
    table.caption = (
        f"{capacity_plan.cost_per_hour:,.2f} {prices.currency} per hour, {month:,.0f} per month at constant load, "
        f"{capacity_plan.cost_per_1000:.2f} per 1,000 plates. Nodes only: terraform/monthly_cost.py adds the rest."
    )
    return table


def _print_limits(capacity_plan: Plan, environment: str, console: Console) -> None:
    console.print(
        f"The configured limits of {environment} allow {capacity_plan.max_rps:.1f} requests/s of this mix.",
        highlight=False,
    )
    for line in capacity_plan.violations():
        console.print(f"[yellow]![/] {escape(line)}", highlight=False)


def _day_table(day: DaySimulation, capacity_plan: Plan) -> Table:
    table = Table(title="Simulated day (worst 15 minutes of every two hours)", box=box.SIMPLE, padding=0)
    columns = ["start", "req/s", "rejected", "timeout", "p50 s", "p99 s", "facades", "segm.", "landm.", "nodes"]
    for column in [*columns, *(["GPU nodes"] if capacity_plan.gpu else [])]:
        table.add_column(f" {column}", justify="right")
    for first in range(0, len(day.windows), _WINDOWS_PER_ROW):
        window = max(day.windows[first : first + _WINDOWS_PER_ROW], key=_severity)
        cells = [
            f"{window.at_s // 3600:02.0f}:{window.at_s % 3600 / 60:02.0f}",
            f"{window.sent / WINDOW_S:.2f}",
            f"{window.rejected / max(1, window.sent):.1%}",
            f"{window.timed_out / max(1, window.sent):.1%}",
            f"{window.p50_s:.1f}",
            f"{window.p99_s:.1f}",
            *(f"{count:.1f}" for count in (window.facades, window.segmentation, window.landmarks, window.nodes)),
        ]
        table.add_row(*cells, *([f"{window.gpu_nodes:.1f}"] if capacity_plan.gpu else []))
    return table


def _severity(window: DayWindow) -> tuple[float, float]:
    return (window.rejected + window.timed_out) / max(1, window.sent), window.p99_s


def _print_day(
    day: DaySimulation, capacity_plan: Plan, prices: Prices, slo: Slo, options: CapacityOptions, console: Console
) -> None:
    latency_slos_s: Mapping[str, float] = {
        size_class(latency.up_to_megapixels): latency.p99_s for latency in slo.latency
    }
    console.print(
        f"{day.sent:,} requests, {day.rejected_fraction:.2%} rejected, {day.timed_out_fraction:.2%} timed out; "
        f"{day.cost:,.2f} {prices.currency} per day, {day.cost_per_1000:.2f} per 1,000 responses"
        + (f" (1 of {day.slices} requests simulated, with limits scaled to match)." if day.slices > 1 else "."),
        highlight=False,
    )
    for size, p99_s in day.p99_s.items():
        slo_s = latency_slos_s.get(size)
        verdict = "" if slo_s is None else f", objective {slo_s:g} s: {'met' if p99_s <= slo_s else '[red]missed[/]'}"
        console.print(f"  p99 of {size}: {p99_s:.1f} s{verdict}", highlight=False)
    delays = options.delays
    console.print(
        f"  Assumptions: new pods are ready after {delays.facade_s:g} s (facade) and {delays.predictor_s:g} s "
        f"(predictor), nodes after {delays.node_s:g} s"
        + (f", GPU nodes after {delays.gpu_node_s:g} s" if capacity_plan.gpu else ""),
        highlight=False,
    )
