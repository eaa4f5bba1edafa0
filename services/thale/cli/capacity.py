"""`thale capacity`: how many replicas and nodes a load takes, at what cost, and a day of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from thale.capacity.benchmark import Measured, read_measured
from thale.capacity.cluster_scaling import Delays
from thale.capacity.day_simulation import WINDOW_S, Day, Window, play
from thale.capacity.environment_limits import Fleet, read_fleets
from thale.capacity.nodes import Prices, read_prices
from thale.capacity.plan import Demand, Plan, plan
from thale.capacity.plots import draw_day
from thale.errors import ParameterError
from thale.slo import Slo, read_slo
from thale.telemetry.labels import size_class

_SHOWN_EVERY = 8
"""Quarters of an hour between two rows; the worst one of them is shown."""


@dataclass(frozen=True)
class Question:
    """What is asked."""

    demand: Demand
    environment: str
    measured: Path | None
    prices: Path | None
    day: bool
    limits: str
    delays: Delays
    seed: int
    picture: Path | None


def read_mix(text: str) -> dict[str, float]:
    """Read shares of classes of image size, as 1mp=0.2,4mp=0.5,16mp=0.3.

    Raises:
        ParameterError: If that is not what the text says.
    """
    mix: dict[str, float] = {}
    for word in text.split(","):
        name, is_given, share = word.strip().partition("=")
        try:
            if not is_given or name in mix:
                raise ValueError(word)
            mix[name] = float(share)
        except ValueError:
            raise ParameterError(f"{word!r} is no share: say each class once, as 1mp=0.2,4mp=0.5,16mp=0.3") from None
    return mix


def answer(question: Question, console: Console) -> None:
    """Print the plan, and the day unless it is not wanted.

    Raises:
        ParameterError: If something of the question is not known.
    """
    fleets = read_fleets()
    if question.environment not in fleets:
        raise ParameterError(f"there is no environment {question.environment!r}: choose from {', '.join(fleets)}")
    fleet, measured, prices = (
        fleets[question.environment],
        read_measured(question.measured),
        read_prices(question.prices),
    )
    made = plan(question.demand, measured, fleet, prices)
    _tell_origin(question.demand, measured, prices, console)
    console.print(_plan_table(made, fleet, prices, question.environment))
    _tell_limits(made, question.environment, console)
    if not question.day:
        return
    with console.status("playing a day"):
        day = play(made, measured, fleet, question.delays, question.seed, question.limits)
    console.print(_day_table(day, made))
    _tell_day(day, made, prices, read_slo(), question, console)
    if question.picture is not None:
        title = (
            f"{question.environment}: {made.demand.rps:g} requests/s in the busiest hour, limits as {question.limits}"
        )
        draw_day(question.picture, day, made, title)
        console.print(f"picture: {escape(str(question.picture))}", soft_wrap=True)


def _tell_origin(demand: Demand, measured: Measured, prices: Prices, console: Console) -> None:
    machine = measured.machine
    console.print(
        f"Measured {measured.measured_at:%Y-%m-%d %H:%M} UTC on {machine.cores} cores of {escape(machine.processor)} "
        f"(thale {measured.versions.get('thale', '?')}; others used {machine.others_share:.0%} of it): "
        f"{sum(measured.processor_s(dict(demand.mix)).values()):.2f} processor seconds a picture of this mix; knee at "
        f"{measured.knee().rps:.2f} answers/s.",
        highlight=False,
    )
    console.print(
        f"Assumed: the same processor seconds on the cluster's cores, {demand.efficiency:.0%} of a predictor's cores "
        f"busy while it works, load spread evenly; {demand.headroom:.0%} headroom. Prices of {prices.date}, "
        f"{prices.currency}.",
        highlight=False,
    )
    if machine.others_share > 0.25:
        console.print("[yellow]![/] the machine was not quiet when this was measured: measure again with `make knee`")


def _plan_table(made: Plan, fleet: Fleet, prices: Prices, environment: str) -> Table:
    demand = made.demand
    mix = ", ".join(f"{share:.0%} {size}" for size, share in demand.mix.items())
    table = Table(title=f"{environment}: {demand.rps:g} requests/s of {mix}")
    for column in ("What", "Work, cores", "Needed", "Autoscaler's", "Allowed"):
        table.add_column(column, justify="left" if column == "What" else "right")
    for name, found in made.parts.items():
        scaler = found.workload.scaler
        allowed = f"{scaler.least} to {scaler.most}"
        table.add_row(f"{name} replicas", f"{found.busy_cores:.1f}", str(found.needed), str(found.count), allowed)
    table.add_section()
    pools = [("general", made.general, made.general_nodes, fleet.general_pool)]
    pools += [("inference (GPU)", made.gpu, made.gpu_nodes, fleet.gpu_pool)] if made.gpu else []
    for name, node, count, pool in pools:
        what = f"{name} nodes, {node.vm_size.removeprefix('Standard_')}"
        table.add_row(what, "", "", str(count), f"{pool.least} to {pool.most}")
    month = made.cost_hour * prices.hours_a_month
    table.caption = (
        f"{made.cost_hour:,.2f} {prices.currency} an hour, {month:,.0f} a month at this load all the time, "
        f"{made.cost_1000:.2f} for 1,000 plates. These nodes alone: terraform/monthly_cost.py tells the rest."
    )
    return table


def _tell_limits(made: Plan, environment: str, console: Console) -> None:
    console.print(
        f"{environment} as it is configured holds {made.holds_rps:.1f} requests/s of this mix.", highlight=False
    )
    for line in made.beyond():
        console.print(f"[yellow]![/] {escape(line)}", highlight=False)


def _day_table(day: Day, made: Plan) -> Table:
    table = Table(title="A day (of every two hours the worst quarter)", box=box.SIMPLE, padding=0)
    columns = ["from", "req/s", "refused", "late", "p50 s", "p99 s", "facades", "segm.", "landm.", "nodes"]
    for column in [*columns, *(["GPU nodes"] if made.gpu else [])]:
        table.add_column(f" {column}", justify="right")
    for first in range(0, len(day.windows), _SHOWN_EVERY):
        window = max(day.windows[first : first + _SHOWN_EVERY], key=_badness)
        cells = [
            f"{window.at_s // 3600:02.0f}:{window.at_s % 3600 / 60:02.0f}",
            f"{window.sent / WINDOW_S:.2f}",
            f"{window.refused / max(1, window.sent):.1%}",
            f"{window.late / max(1, window.sent):.1%}",
            f"{window.p50_s:.1f}",
            f"{window.p99_s:.1f}",
            *(f"{count:.1f}" for count in (window.facades, window.segmentation, window.landmarks, window.nodes)),
        ]
        table.add_row(*cells, *([f"{window.gpu_nodes:.1f}"] if made.gpu else []))
    return table


def _badness(window: Window) -> tuple[float, float]:
    return (window.refused + window.late) / max(1, window.sent), window.p99_s


def _tell_day(day: Day, made: Plan, prices: Prices, slo: Slo, question: Question, console: Console) -> None:
    limits: Mapping[str, float] = {size_class(latency.up_to_megapixels): latency.p99_s for latency in slo.latency}
    console.print(
        f"{day.sent:,} requests, {day.refused_share:.2%} refused, {day.late_share:.2%} too late; "
        f"{day.cost:,.2f} {prices.currency} the day, {day.cost_1000:.2f} for 1,000 answers"
        + (f" (1 in {day.slice} requests played, on as small a part of the fleet)." if day.slice > 1 else "."),
        highlight=False,
    )
    for size, p99_s in day.p99_s.items():
        limit_s = limits.get(size)
        verdict = (
            "" if limit_s is None else f", promised {limit_s:g} s: {'kept' if p99_s <= limit_s else '[red]broken[/]'}"
        )
        console.print(f"  p99 of {size}: {p99_s:.1f} s{verdict}", highlight=False)
    delays = question.delays
    console.print(
        f"  new pods are ready after {delays.facade_s:g} s (facade) and {delays.predictor_s:g} s (predictor), nodes "
        f"after {delays.node_s:g} s" + (f", GPU nodes after {delays.gpu_node_s:g} s" if made.gpu else "") + ": assumed",
        highlight=False,
    )
