"""docs/capacity.md and its picture, written from a measurement."""

from pathlib import Path

from matplotlib.figure import Figure

from thale.capacity.benchmark import COMPONENTS, Benchmark, Component

PICTURE = "capacity-knee.png"
_COLOURS: dict[Component, str] = {
    "segmentation": "#8a5fb0",
    "landmarks": "#d08a2e",
    "facade": "#2a7f62",
    "torchserve": "#9a9a9a",
}
_PLANNING_SECTION = """\
## From here to a cluster

`thale capacity --rps 20 --mix 1mp=0.2,4mp=0.5,16mp=0.3 --environment prod --plot day.png` says how many
replicas and nodes a load takes, at what cost, and plays a day of it: the autoscalers as the manifests set them, pods
and nodes that take time to start, places and deadlines of the facade. What it assumes stands in its first lines: the
processor seconds above hold on the cluster's cores, 80 % of a predictor's cores are busy while it works
(`--efficiency`), load is spread evenly, 30 % stay free (`--headroom`). Starts of pods and nodes are guesses to be
replaced by what you see (`--pod-start-s`, `--node-start-s`, `--gpu-node-start-s`). No engine of thale's uses a GPU yet,
so nothing is measured on one: `--gpu-speedup` takes the figure of who has measured.
"""


def write_page(folder: Path, benchmark: Benchmark) -> None:
    """Write the page and its picture into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    plot_knee(benchmark).savefig(folder / PICTURE)
    (folder / "capacity.md").write_text(render_page(benchmark), encoding="utf-8")


def plot_knee(benchmark: Benchmark) -> Figure:
    """Draw throughput and time in the system over the number of clients, the knee marked, and what a picture costs."""
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    throughput, latency, cost = figure.subplots(1, 3)
    clients, knee = [step.clients for step in benchmark.steps], benchmark.knee()
    throughput.plot(clients, [step.rps for step in benchmark.steps], "o-", color="#2a7f62")
    throughput.axvline(knee.clients, color="#c0392b", linestyle="--", linewidth=1)
    throughput.annotate("knee", (knee.clients, knee.rps), xytext=(6, -14), textcoords="offset points", color="#c0392b")
    throughput.set(xlabel="clients without a pause", ylabel="answers a second", ylim=(0, None), title="Throughput")
    latency.plot(clients, [step.p99_s for step in benchmark.steps], "o:", color="#3d6fb6", label="p99")
    latency.plot(clients, [step.p50_s for step in benchmark.steps], "o-", color="#3d6fb6", label="p50")
    latency.axvline(knee.clients, color="#c0392b", linestyle="--", linewidth=1)
    latency.set(xlabel="clients without a pause", ylabel="seconds", ylim=(0, None), title="From request to answer")
    latency.legend(frameon=False)
    for panel in (throughput, latency):
        panel.set_xticks(clients)
    bottom_s = [0.0] * len(benchmark.classes)
    for component, colour in _COLOURS.items():
        seconds = [size_class.cpu_seconds.get(component, 0.0) for size_class in benchmark.classes.values()]
        cost.bar(list(benchmark.classes), seconds, bottom=bottom_s, color=colour, width=0.6, label=component)
        bottom_s = [base_s + added_s for base_s, added_s in zip(bottom_s, seconds, strict=True)]
    cost.set(ylabel="processor seconds", title="A picture", ylim=(0, 1.45 * max(bottom_s)))
    cost.legend(frameon=False, ncols=2, loc="upper left")
    return figure


def render_page(benchmark: Benchmark) -> str:
    """Return the page in Markdown."""
    return "\n".join(
        [
            *_summary_section(benchmark),
            *_size_class_section(benchmark),
            *_load_step_section(benchmark),
            *_overload_section(benchmark),
            _PLANNING_SECTION,
        ]
    )


def _summary_section(benchmark: Benchmark) -> list[str]:
    machine, knee = benchmark.machine, benchmark.knee()
    mix = ", ".join(f"{share:.0%} {size}" for size, share in benchmark.mix.items())
    return [
        "# What one machine holds",
        "",
        "Written by `make knee` (`loadtests/knee.py`) from `services/thale/capacity/benchmark.json`; do not edit.",
        "",
        f"Measured {benchmark.measured_at:%Y-%m-%d %H:%M} UTC on {machine.cores} cores of {machine.cpu_model}, "
        f"{machine.memory_gib:g} GiB, load generator on the same machine; others and the generator used "
        f"{machine.background_cpu_fraction:.0%} of the processor. "
        + ", ".join(f"{name} {number}" for name, number in benchmark.versions.items())
        + f". Pictures: {mix}.",
        "",
        f"**The knee is at {knee.clients} {'client' if knee.clients == 1 else 'clients'}: {knee.rps:.2f} answers/s, "
        f"p50 {knee.p50_s:.1f} s, p99 {knee.p99_s:.1f} s.** (Where throughput / mean time is greatest.)",
        "",
        f"![throughput and latency over clients]({PICTURE})",
        "",
    ]


def _size_class_section(benchmark: Benchmark) -> list[str]:
    head = " | ".join(COMPONENTS)
    rows = [
        f"| {size} | {result.latency_p50_s:.2f} | {sum(result.cpu_seconds.values()):.2f} | "
        + " | ".join(f"{result.cpu_seconds.get(component, 0.0):.2f}" for component in COMPONENTS)
        + " |"
        for size, result in benchmark.classes.items()
    ]
    memory = ", ".join(
        f"{component} {memory_mib:.0f} MiB" for component, memory_mib in benchmark.peak_memory_mib.items()
    )
    return [
        "## What a picture costs",
        "",
        "One at a time, nobody else there: seconds until the answer, and processor seconds (all, and by part).",
        "",
        f"| Class | Answer, s | Processor, s | {head} |",
        "|---|---:|---:|" + "---:|" * len(COMPONENTS),
        *rows,
        "",
        "Whole plates cost about the same whatever their megapixels: the nets see every plate at the same scale.",
        "Pictures of the class 1mp are seedlings cut out of a plate at the camera's scale, with that scale given.",
        "",
        f"Memory held under load: {memory}.",
        "",
    ]


def _load_step_section(benchmark: Benchmark) -> list[str]:
    rows = [
        f"| {step.clients} | {step.responses} | {step.rps:.2f} | {step.p50_s:.1f} | {step.p99_s:.1f} |"
        for step in benchmark.steps
    ]
    return [
        "## Steps of load",
        "",
        "| Clients without a pause | Answers | Answers/s | p50, s | p99, s |",
        "|---:|---:|---:|---:|---:|",
        *rows,
        "",
    ]


def _overload_section(benchmark: Benchmark) -> list[str]:
    overload = benchmark.overload
    recovery = "never within the test" if overload.recovery_s is None else f"after {overload.recovery_s:.1f} s"
    return [
        "## Beyond the knee",
        "",
        f"{overload.offered_rps:.2f} requests/s for {overload.seconds:.0f} s, on a schedule that waits for nobody: of "
        f"{overload.sent} requests {overload.completed} were answered ({overload.completed / overload.seconds:.2f}/s), {overload.rejected} "
        f"refused with 503 or 429 ({overload.rejected_with_retry_after} of them with Retry-After; p99 of a refusal "
        f"{overload.rejection_p99_s:.2f} s), "
        f"{overload.timed_out} accepted and then too late (504), {overload.failed} failed otherwise; the rest was still under way.",
        "",
        f"Accepted requests took {overload.accepted_p50_s:.1f} s (p50), {overload.accepted_p99_s:.1f} s (p99), "
        f"{overload.accepted_max_s:.1f} s at most. When all clients had hung up, a small picture was answered as on an "
        f"idle machine {recovery}.",
        "",
    ]
