"""docs/capacity.md and its picture, written from a measurement."""

from pathlib import Path

from matplotlib.figure import Figure

from thale.capacity.benchmark import PARTS, Measured, Part

PICTURE = "capacity-knee.png"
_COLOURS: dict[Part, str] = {
    "segmentation": "#8a5fb0",
    "landmarks": "#d08a2e",
    "facade": "#2a7f62",
    "torchserve": "#9a9a9a",
}
_PLANNING = """\
## From here to a cluster

`thale capacity --rps 20 --mix 1mp=0.2,4mp=0.5,16mp=0.3 --environment prod --picture day.png` says how many
replicas and nodes a load takes, at what cost, and plays a day of it: the autoscalers as the manifests set them, pods
and nodes that take time to start, places and deadlines of the facade. What it assumes stands in its first lines: the
processor seconds above hold on the cluster's cores, 80 % of a predictor's cores are busy while it works
(`--efficiency`), load is spread evenly, 30 % stay free (`--headroom`). Starts of pods and nodes are guesses to be
replaced by what you see (`--pod-start-s`, `--node-start-s`, `--gpu-node-start-s`). No engine of thale's uses a GPU yet,
so nothing is measured on one: `--gpu-times` takes the figure of who has measured.
"""


def write(folder: Path, measured: Measured) -> None:
    """Write the page and its picture into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    knee_figure(measured).savefig(folder / PICTURE)
    (folder / "capacity.md").write_text(page(measured), encoding="utf-8")


def knee_figure(measured: Measured) -> Figure:
    """Draw throughput and time in the system over the number of clients, the knee marked, and what a picture costs."""
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    throughput, latency, cost = figure.subplots(1, 3)
    clients, knee = [step.clients for step in measured.steps], measured.knee()
    throughput.plot(clients, [step.rps for step in measured.steps], "o-", color="#2a7f62")
    throughput.axvline(knee.clients, color="#c0392b", linestyle="--", linewidth=1)
    throughput.annotate("knee", (knee.clients, knee.rps), xytext=(6, -14), textcoords="offset points", color="#c0392b")
    throughput.set(xlabel="clients without a pause", ylabel="answers a second", ylim=(0, None), title="Throughput")
    latency.plot(clients, [step.p99_s for step in measured.steps], "o:", color="#3d6fb6", label="p99")
    latency.plot(clients, [step.p50_s for step in measured.steps], "o-", color="#3d6fb6", label="p50")
    latency.axvline(knee.clients, color="#c0392b", linestyle="--", linewidth=1)
    latency.set(xlabel="clients without a pause", ylabel="seconds", ylim=(0, None), title="From request to answer")
    latency.legend(frameon=False)
    for panel in (throughput, latency):
        panel.set_xticks(clients)
    reached = [0.0] * len(measured.classes)
    for part, colour in _COLOURS.items():
        seconds = [seen.processor_s.get(part, 0.0) for seen in measured.classes.values()]
        cost.bar(list(measured.classes), seconds, bottom=reached, color=colour, width=0.6, label=part)
        reached = [below + more for below, more in zip(reached, seconds, strict=True)]
    cost.set(ylabel="processor seconds", title="A picture", ylim=(0, 1.45 * max(reached)))
    cost.legend(frameon=False, ncols=2, loc="upper left")
    return figure


def page(measured: Measured) -> str:
    """Return the page in Markdown."""
    return "\n".join([*_head(measured), *_classes(measured), *_steps(measured), *_beyond(measured), _PLANNING])


def _head(measured: Measured) -> list[str]:
    machine, knee = measured.machine, measured.knee()
    mix = ", ".join(f"{share:.0%} {size}" for size, share in measured.mix.items())
    return [
        "# What one machine holds",
        "",
        "Written by `make knee` (`loadtests/knee.py`) from `services/thale/capacity/benchmark.json`; do not edit.",
        "",
        f"Measured {measured.measured_at:%Y-%m-%d %H:%M} UTC on {machine.cores} cores of {machine.processor}, "
        f"{machine.memory_gib:g} GiB, load generator on the same machine; others and the generator used "
        f"{machine.others_share:.0%} of the processor. "
        + ", ".join(f"{name} {number}" for name, number in measured.versions.items())
        + f". Pictures: {mix}.",
        "",
        f"**The knee is at {knee.clients} {'client' if knee.clients == 1 else 'clients'}: {knee.rps:.2f} answers/s, "
        f"p50 {knee.p50_s:.1f} s, p99 {knee.p99_s:.1f} s.** (Where throughput / mean time is greatest.)",
        "",
        f"![throughput and latency over clients]({PICTURE})",
        "",
    ]


def _classes(measured: Measured) -> list[str]:
    head = " | ".join(PARTS)
    rows = [
        f"| {size} | {seen.seconds_p50:.2f} | {sum(seen.processor_s.values()):.2f} | "
        + " | ".join(f"{seen.processor_s.get(part, 0.0):.2f}" for part in PARTS)
        + " |"
        for size, seen in measured.classes.items()
    ]
    memory = ", ".join(f"{part} {held:.0f} MiB" for part, held in measured.memory_mib.items())
    return [
        "## What a picture costs",
        "",
        "One at a time, nobody else there: seconds until the answer, and processor seconds (all, and by part).",
        "",
        f"| Class | Answer, s | Processor, s | {head} |",
        "|---|---:|---:|" + "---:|" * len(PARTS),
        *rows,
        "",
        "Whole plates cost about the same whatever their megapixels: the nets see every plate at the same scale.",
        "Pictures of the class 1mp are seedlings cut out of a plate at the camera's scale, with that scale given.",
        "",
        f"Memory held under load: {memory}.",
        "",
    ]


def _steps(measured: Measured) -> list[str]:
    rows = [
        f"| {step.clients} | {step.answers} | {step.rps:.2f} | {step.p50_s:.1f} | {step.p99_s:.1f} |"
        for step in measured.steps
    ]
    return [
        "## Steps of load",
        "",
        "| Clients without a pause | Answers | Answers/s | p50, s | p99, s |",
        "|---:|---:|---:|---:|---:|",
        *rows,
        "",
    ]


def _beyond(measured: Measured) -> list[str]:
    seen = measured.overload
    recovery = "never within the test" if seen.recovery_s is None else f"after {seen.recovery_s:.1f} s"
    return [
        "## Beyond the knee",
        "",
        f"{seen.offered_rps:.2f} requests/s for {seen.seconds:.0f} s, on a schedule that waits for nobody: of "
        f"{seen.sent} requests {seen.answered} were answered ({seen.answered / seen.seconds:.2f}/s), {seen.refused} "
        f"refused with 503 or 429 ({seen.refused_with_retry_after} of them with Retry-After; p99 of a refusal "
        f"{seen.refusal_p99_s:.2f} s), "
        f"{seen.late} accepted and then too late (504), {seen.failed} failed otherwise; the rest was still under way.",
        "",
        f"Accepted requests took {seen.accepted_p50_s:.1f} s (p50), {seen.accepted_p99_s:.1f} s (p99), "
        f"{seen.accepted_max_s:.1f} s at most. When all clients had hung up, a small picture was answered as on an "
        f"idle machine {recovery}.",
        "",
    ]
