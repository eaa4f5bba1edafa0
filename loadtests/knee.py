"""Capacity benchmark of one machine: load steps up to saturation and beyond. Takes seven minutes on an idle machine.

    python -m loadtests.knee

It starts its own platform. It writes services/thale/capacity/benchmark.json, the input of `thale capacity`, and
docs/capacity.md with its plot. --quick takes two minutes, and requires another --out.

1. Each size class alone: CPU seconds per image, by component.
2. Closed loop with an increasing number of clients: the knee is where throughput divided by mean latency is greatest.
3. Open loop at three times the maximum throughput: rejections, and the latency of accepted requests.
4. Recovery after all clients have disconnected: the time until a small image is as fast as on an idle machine.
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
from loadtests.cpu_usage import CpuUsage, ProcessTree
from loadtests.load_generator import LoadGenerator, interleave_by_mix
from thale._version import __version__
from thale.capacity.benchmark import Benchmark, LoadStep, Machine, Overload, SizeClassBenchmark
from thale.local.data_dir import DataDir
from thale.local.platform import Platform, serve

ROOT = Path(__file__).parents[1]
BENCHMARK_FILE = Path("services", "thale", "capacity", "benchmark.json")
MIX = {"1mp": 0.2, "4mp": 0.5, "16mp": 0.3}
_OVERLOAD_STATUSES = (429, 503)
_PACKAGES = ("openvino", "torchserve", "numpy", "scikit-image")


@dataclass(frozen=True)
class BenchmarkPlan:
    """Sizes and durations of a benchmark."""

    images_per_class: int = 6
    """Images of each size class, sent one at a time."""
    client_counts: Sequence[int] = (1, 2, 3, 4, 6, 8)
    step_duration_s: float = 30.0
    overload_factor: float = 3.0
    """Offered load, as a multiple of the maximum throughput."""
    overload_duration_s: float = 90.0
    recovery_timeout_s: float = 60.0


FULL_PLAN = BenchmarkPlan()
QUICK_PLAN = BenchmarkPlan(images_per_class=2, client_counts=(1, 2, 4), step_duration_s=12.0, overload_duration_s=80.0)


def main(
    out: Annotated[Path, typer.Option(file_okay=False, help="Root folder of the output.")] = ROOT,
    quick: Annotated[bool, typer.Option("--quick", help="Trial run of two minutes with unreliable results.")] = False,
    weights: Annotated[Path | None, typer.Option(help="Weights. Default: the default models.")] = None,
) -> None:
    """Measure the capacity of this machine and write the results."""
    if quick and out == ROOT:
        raise typer.BadParameter("--quick must not replace the benchmark: pass another folder with --out")
    console = Console()
    images = image_set.load_images()
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(
            DataDir.resolve(Path(folder) / "home"), console.print, weights=weights, persistent=False
        ) as local_platform,
    ):
        local_platform.wait_until_ready()
        benchmark = asyncio.run(
            CapacityBenchmark(local_platform, images, QUICK_PLAN if quick else FULL_PLAN, console).run()
        )
    write_results(out, benchmark)
    console.print(f"written: {out / BENCHMARK_FILE}, {out / 'docs' / 'capacity.md'}")


def write_results(out: Path, benchmark: Benchmark) -> None:
    """Write the benchmark and its page below a root folder."""
    benchmark_file = out / BENCHMARK_FILE
    benchmark_file.parent.mkdir(parents=True, exist_ok=True)
    benchmark_file.write_text(benchmark.model_dump_json(indent=2) + "\n", encoding="utf-8")
    benchmark_page.write_page(out / "docs", benchmark)


class CapacityBenchmark:
    """Benchmark of a running platform."""

    def __init__(
        self,
        local_platform: Platform,
        images: dict[str, list[image_set.PlateImage]],
        plan: BenchmarkPlan,
        console: Console,
    ) -> None:
        self._url = local_platform.url
        self._process_tree = ProcessTree(psutil.Process().pid, local_platform.addresses.management_url)
        self._images = images
        self._plan = plan
        self._console = console

    async def run(self) -> Benchmark:
        """Run all measurements."""
        before = self._process_tree.cpu_usage()
        async with LoadGenerator.connect(self._url) as generator:
            await generator.run_closed_loop(
                2, 1.0, interleave_by_mix(self._images, MIX)
            )  # warm-up: compiles graphs, touches memory pages
            classes = {size: await self._measure_size_class(generator, size) for size in MIX}
            steps = [await self._measure_load_step(generator, clients) for clients in self._plan.client_counts]
            best = max(steps, key=lambda step: step.rps)
            overload = await self._measure_overload(
                generator, self._plan.overload_factor * best.rps, classes["1mp"].latency_p50_s
            )
        return Benchmark(
            measured_at=datetime.now(UTC).replace(microsecond=0),
            machine=_describe_machine(self._process_tree.cpu_usage().since(before)),
            versions={"thale": __version__, "python": platform.python_version()}
            | {name: version(name) for name in _PACKAGES},
            mix=MIX,
            classes=classes,
            steps=tuple(steps),
            overload=overload,
            peak_memory_mib={
                component: round(memory_mib) for component, memory_mib in self._process_tree.memory_mib().items()
            },
        )

    async def _measure_size_class(self, generator: LoadGenerator, size: str) -> SizeClassBenchmark:
        """Measure images of one size class, one at a time."""
        before, durations_s = self._process_tree.cpu_usage(), []
        for number in range(self._plan.images_per_class):
            result = await generator.send(self._images[size][number % len(self._images[size])])
            if result.status != 200:
                raise SystemExit(
                    f"an image of {size} got status {result.status} instead of 200: the benchmark cannot run"
                )
            durations_s.append(result.duration_s)
        usage = self._process_tree.cpu_usage().since(before)
        cpu_seconds = {
            component: round(used_s / len(durations_s), 4) for component, used_s in usage.by_component.items()
        }
        self._console.print(
            f"{size}: {np.median(durations_s):.2f} s, {sum(cpu_seconds.values()):.2f} CPU seconds {cpu_seconds}"
        )
        return SizeClassBenchmark(
            plates=len(durations_s), latency_p50_s=round(float(np.median(durations_s)), 4), cpu_seconds=cpu_seconds
        )

    async def _measure_load_step(self, generator: LoadGenerator, clients: int) -> LoadStep:
        """Measure a closed loop with a constant number of clients."""
        results = await generator.run_closed_loop(
            clients, self._plan.step_duration_s, interleave_by_mix(self._images, MIX)
        )
        succeeded = [result for result in results if result.status == 200]
        durations_s = [result.duration_s for result in succeeded]
        elapsed_s = max(result.ended_s for result in results) - min(result.started_s for result in results)
        step = LoadStep(
            clients=clients,
            responses=len(succeeded),
            rps=round(len(succeeded) / elapsed_s, 4),
            mean_s=_round_seconds(np.mean(durations_s)),
            p50_s=_quantile(durations_s, 0.5),
            p99_s=_quantile(durations_s, 0.99),
        )
        self._console.print(
            f"{clients} clients: {step.rps:.2f} responses/s, p50 {step.p50_s:.1f} s, p99 {step.p99_s:.1f} s"
        )
        return step

    async def _measure_overload(self, generator: LoadGenerator, rps: float, idle_s: float) -> Overload:
        """Measure an open loop above capacity, then the time to recover."""
        duration_s = self._plan.overload_duration_s
        results = await generator.run_open_loop(rps, duration_s, interleave_by_mix(self._images, MIX))
        recovery_s = await generator.time_to_recover(self._images["1mp"][0], 2 * idle_s, self._plan.recovery_timeout_s)
        rejected = [result for result in results if result.status in _OVERLOAD_STATUSES]
        accepted = [result.duration_s for result in results if result.status == 200]
        timed_out = sum(result.status == 504 for result in results)
        overload = Overload(
            offered_rps=round(rps, 4),
            seconds=duration_s,
            sent=round(rps * duration_s),
            completed=len(accepted),
            rejected=len(rejected),
            rejected_with_retry_after=sum(result.retry_after is not None for result in rejected),
            timed_out=timed_out,
            failed=len(results) - len(accepted) - len(rejected) - timed_out,
            rejection_p99_s=_quantile([result.duration_s for result in rejected], 0.99),
            accepted_p50_s=_quantile(accepted, 0.5),
            accepted_p99_s=_quantile(accepted, 0.99),
            accepted_max_s=_quantile(accepted, 1.0),
            recovery_s=None if recovery_s is None else _round_seconds(recovery_s),
        )
        self._console.print(overload)
        return overload


def _describe_machine(usage: CpuUsage) -> Machine:
    cores = psutil.cpu_count() or 1
    own_cpu_seconds = sum(usage.by_component.values())
    return Machine(
        cpu_model=_cpu_model(),
        cores=cores,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        background_cpu_fraction=round(
            min(1.0, max(0.0, (usage.machine_s - own_cpu_seconds) / (usage.measured_at_s * cores))), 3
        ),
    )


def _cpu_model() -> str:
    """Return the name of the CPU. On Linux only /proc/cpuinfo has it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def _quantile(seconds: Sequence[float], probability: float) -> float:
    return _round_seconds(np.quantile(seconds, probability)) if seconds else 0.0


def _round_seconds(value: float | np.floating) -> float:
    return round(float(value), 3)


if __name__ == "__main__":
    typer.run(main)
