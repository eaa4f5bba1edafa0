"""What does one machine hold? Steps of load up to the knee and beyond; about seven minutes, on a quiet machine.

    python -m loadtests.knee

Starts a platform of its own. Writes services/thale/capacity/benchmark.json, which `thale capacity` reckons with, and docs/capacity.md
with its picture. --quick is a rehearsal of two minutes that writes to --out alone.

1. Each class of image size alone: processor seconds a picture, by part.
2. So many clients without a pause, step by step: the knee is where throughput / time is greatest.
3. Three times the knee's throughput on a schedule: what is refused, and how long the accepted wait.
4. Everybody hangs up: how long until a small picture is answered as on an idle machine.
"""

import asyncio
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer
from rich.console import Console

from loadtests import benchmark_page, image_set
from loadtests.cpu_usage import Parts, Spent
from loadtests.load_generator import Driver, in_turn
from thale._version import __version__
from thale.capacity.benchmark import Machine, Measured, OfClass, Overload, Step
from thale.local.data_dir import Home
from thale.local.platform import Instance, serve

ROOT = Path(__file__).parents[1]
MIX = {"1mp": 0.2, "4mp": 0.5, "16mp": 0.3}
_NO_ROOM = (429, 503)
_PACKAGES = ("openvino", "torchserve", "numpy", "scikit-image")


@dataclass(frozen=True)
class Programme:
    """How long everything takes."""

    alone: int = 6
    """Pictures of each class, one at a time."""
    clients: Sequence[int] = (1, 2, 3, 4, 6, 8)
    step_s: float = 30.0
    overload: float = 3.0
    """Times the knee's throughput."""
    overload_s: float = 90.0
    recovery_limit_s: float = 60.0


WHOLE = Programme()
QUICK = Programme(alone=2, clients=(1, 2, 4), step_s=12.0, overload_s=80.0)


def main(
    out: Annotated[Path, typer.Option(file_okay=False, help="Root of what is written.")] = ROOT,
    quick: Annotated[bool, typer.Option("--quick", help="A rehearsal: two minutes, nothing to rely on.")] = False,
    weights: Annotated[Path | None, typer.Option(help="Models. Default: thale's own.")] = None,
) -> None:
    """Measure this machine and write down what it holds."""
    if quick and out == ROOT:
        raise typer.BadParameter("a rehearsal must not replace the measurement: say where it goes with --out")
    console = Console()
    pictures = image_set.pictures()
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(Home.at(Path(folder) / "home"), console.print, weights=weights, lasting=False) as instance,
    ):
        instance.wait_until_ready()
        measured = asyncio.run(Bench(instance, pictures, QUICK if quick else WHOLE, console).measure())
    (out / "loadtests").mkdir(parents=True, exist_ok=True)
    (out / "loadtests" / "measured.json").write_text(measured.model_dump_json(indent=2) + "\n", encoding="utf-8")
    benchmark_page.write(out / "docs", measured)
    console.print(f"written: {out / 'loadtests' / 'measured.json'}, {out / 'docs' / 'capacity.md'}")


class Bench:
    """One measurement of a running platform."""

    def __init__(
        self, instance: Instance, pictures: dict[str, list[image_set.Picture]], programme: Programme, console: Console
    ) -> None:
        self._url = instance.url
        self._parts = Parts(psutil.Process().pid, instance.ports.addresses())
        self._pictures = pictures
        self._programme = programme
        self._console = console

    async def measure(self) -> Measured:
        """Go through the whole programme."""
        before = self._parts.spent()
        async with Driver.connected(self._url) as driver:
            await driver.closed(2, 1.0, in_turn(self._pictures, MIX))  # warm: graphs compiled, pages touched
            classes = {size: await self._alone(driver, size) for size in MIX}
            steps = [await self._step(driver, clients) for clients in self._programme.clients]
            best = max(steps, key=lambda step: step.rps)
            overload = await self._overload(driver, self._programme.overload * best.rps, classes["1mp"].seconds_p50)
        return Measured(
            measured_at=datetime.now(UTC).replace(microsecond=0),
            machine=_machine(self._parts.spent().since(before)),
            versions={"thale": __version__, "python": platform.python_version()}
            | {name: version(name) for name in _PACKAGES},
            mix=MIX,
            classes=classes,
            steps=tuple(steps),
            overload=overload,
            memory_mib={part: round(held) for part, held in self._parts.memory_mib().items()},
        )

    async def _alone(self, driver: Driver, size: str) -> OfClass:
        """Send pictures of one class, one at a time."""
        before, seconds = self._parts.spent(), []
        for number in range(self._programme.alone):
            exchange = await driver.send(self._pictures[size][number % len(self._pictures[size])])
            if exchange.status != 200:
                raise SystemExit(f"a picture of {size} was answered {exchange.status}: nothing can be measured")
            seconds.append(exchange.seconds)
        spent = self._parts.spent().since(before)
        each = {part: round(used / len(seconds), 4) for part, used in spent.parts.items()}
        self._console.print(f"{size}: {np.median(seconds):.2f} s, {sum(each.values()):.2f} processor seconds {each}")
        return OfClass(plates=len(seconds), seconds_p50=round(float(np.median(seconds)), 4), processor_s=each)

    async def _step(self, driver: Driver, clients: int) -> Step:
        """Keep so many requests in the system for a while."""
        exchanges = await driver.closed(clients, self._programme.step_s, in_turn(self._pictures, MIX))
        answered = [exchange for exchange in exchanges if exchange.status == 200]
        seconds = [exchange.seconds for exchange in answered]
        lasted_s = max(exchange.ended_s for exchange in exchanges) - min(exchange.began_s for exchange in exchanges)
        step = Step(
            clients=clients,
            answers=len(answered),
            rps=round(len(answered) / lasted_s, 4),
            mean_s=_seconds(np.mean(seconds)),
            p50_s=_quantile(seconds, 0.5),
            p99_s=_quantile(seconds, 0.99),
        )
        self._console.print(
            f"{clients} clients: {step.rps:.2f} answers/s, p50 {step.p50_s:.1f} s, p99 {step.p99_s:.1f} s"
        )
        return step

    async def _overload(self, driver: Driver, rps: float, idle_s: float) -> Overload:
        """Ask for more than there is, then hang up and see how soon all is as before."""
        lasts_s = self._programme.overload_s
        exchanges = await driver.scheduled(rps, lasts_s, in_turn(self._pictures, MIX))
        recovery_s = await driver.until_quick(self._pictures["1mp"][0], 2 * idle_s, self._programme.recovery_limit_s)
        refused = [exchange for exchange in exchanges if exchange.status in _NO_ROOM]
        accepted = [exchange.seconds for exchange in exchanges if exchange.status == 200]
        late = sum(exchange.status == 504 for exchange in exchanges)
        overload = Overload(
            offered_rps=round(rps, 4),
            seconds=lasts_s,
            sent=round(rps * lasts_s),
            answered=len(accepted),
            refused=len(refused),
            refused_with_retry_after=sum(exchange.retry_after is not None for exchange in refused),
            late=late,
            failed=len(exchanges) - len(accepted) - len(refused) - late,
            refusal_p99_s=_quantile([exchange.seconds for exchange in refused], 0.99),
            accepted_p50_s=_quantile(accepted, 0.5),
            accepted_p99_s=_quantile(accepted, 0.99),
            accepted_max_s=_quantile(accepted, 1.0),
            recovery_s=None if recovery_s is None else _seconds(recovery_s),
        )
        self._console.print(overload)
        return overload


def _machine(spent: Spent) -> Machine:
    cores = psutil.cpu_count() or 1
    ours = sum(spent.parts.values())
    return Machine(
        processor=_processor(),
        cores=cores,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        others_share=round(min(1.0, max(0.0, (spent.everybody - ours) / (spent.at_s * cores))), 3),
    )


def _processor() -> str:
    """Return the processor's name; Linux tells it in /proc/cpuinfo alone."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def _quantile(seconds: Sequence[float], share: float) -> float:
    return _seconds(np.quantile(seconds, share)) if seconds else 0.0


def _seconds(value: float | np.floating) -> float:
    return round(float(value), 3)


if __name__ == "__main__":
    typer.run(main)
