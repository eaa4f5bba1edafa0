"""`thale analyze`: many images into a folder of results."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from thale.batch.result_index import Ledger
from thale.batch.results import COCO, LONG_TABLE, WIDE_TABLE, read_result, write_failures, write_tables
from thale.batch.run import Run
from thale.batch.sources import Sources, find_sources
from thale.cli.server_connection import any_server
from thale.cli.tables import traits_table
from thale.client import Parameters
from thale.errors import ParameterError

ALL_GOOD, SOME_FAILED, INTERRUPTED = 0, 1, 130
FAILED_LIST = "failed.csv"
_NAMED = 20


@dataclass(frozen=True)
class Order:
    """What `thale analyze` was asked for."""

    paths: list[str]
    out: Path
    recursive: bool
    parameters: Parameters
    coco: bool
    server: str | None
    home: Path | None
    weights: Path | None


def analyze_images(order: Order, console: Console, complaints: Console) -> int:
    """Measure the images, write the tables, say how it went, and return the exit status.

    Whatever ends it early (Ctrl-C, a server that is gone) leaves tables of what is done, and the same command goes on
    from there.

    Raises:
        ParameterError: If there is nothing to measure, or it was asked wrongly.
        LaptopError, ServerError: If no server answers, or answers no longer.
    """
    sources = find_sources(order.paths, order.recursive)
    if not sources.images:
        raise ParameterError(f"there are no images in {', '.join(order.paths)}; folders in folders need --recursive")

    def say(line: str) -> None:
        complaints.print(f"[yellow]![/] {escape(line)}", highlight=False)

    with Ledger.open(order.out) as ledger:
        try:
            with any_server(order.server, order.home, order.weights, say) as client, _bar(console) as progress:
                task = progress.add_task("measuring", total=len(sources.images))
                run = Run(client, ledger, order.out, order.parameters, lambda outcome: progress.advance(task))
                try:
                    with _interruptible(progress.console):
                        run.measure(sources.images)
                finally:
                    progress.stop()
                    _conclude(order, sources, run, ledger, console, complaints)
        except KeyboardInterrupt:
            console.print("stopped: the same command goes on from here")
            return INTERRUPTED
    return SOME_FAILED if run.summary.of("failed") else ALL_GOOD


def _conclude(order: Order, sources: Sources, run: Run, ledger: Ledger, console: Console, complaints: Console) -> None:
    """Write the tables over all results of the folder, and tell how the images fared."""
    write_tables(order.out, ledger.finished(), order.coco)
    failures = [(str(outcome.source.path), outcome.reason) for outcome in run.summary.of("failed")]
    write_failures(order.out / FAILED_LIST, failures)
    good = run.summary.of("measured") + run.summary.of("kept")
    if len(sources.images) == 1 and good:
        console.print(traits_table(read_result(order.out, good[0].name), console.width))
    counts = [f"{len(run.summary.of('measured'))} measured", f"{len(run.summary.of('kept'))} kept from before"]
    counts += [f"[red]{len(failures)} failed[/]"] if failures else []
    missing = len(sources.images) - len(run.summary.outcomes)
    counts += [f"{missing} left to do"] if missing else []
    counts += [f"{sources.skipped} other files passed over"] if sources.skipped else []
    tables = ", ".join([LONG_TABLE, WIDE_TABLE, *([COCO] if order.coco else [])])
    console.print(
        f"\n{', '.join(counts)}. Results in [bold]{escape(str(order.out))}[/]: {tables}",
        highlight=False,
        soft_wrap=True,
    )
    _name_oddities(run, console)
    for path, reason in failures[:_NAMED]:
        complaints.print(f"[red]x[/] {escape(path)}: {escape(reason)}", highlight=False)
    if len(failures) > _NAMED:
        complaints.print(f"[red]x[/] … and {len(failures) - _NAMED} more: see {order.out / FAILED_LIST}")


def _name_oddities(run: Run, console: Console) -> None:
    for outcome in run.summary.renamed()[:_NAMED]:
        line = f"{outcome.source.path} is called {outcome.name} in the results: another file has its name"
        console.print(f"[yellow]![/] {escape(line)}", highlight=False, soft_wrap=True)
    for copy, original in run.summary.copies()[:_NAMED]:
        line = f"{copy.source.path} is byte for byte a copy of {original.source.path}"
        console.print(f"[yellow]![/] {escape(line)}", highlight=False, soft_wrap=True)


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), TextColumn("eta"), TimeRemainingColumn(), console=console)


@contextmanager
def _interruptible(console: Console) -> Iterator[None]:
    """Let the first Ctrl-C finish what is under way, and the second leave at once."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        console.print("finishing the images under way; Ctrl-C once more leaves at once")
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
