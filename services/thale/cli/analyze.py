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

from thale.batch.result_index import ResultIndex
from thale.batch.results import COCO, LONG_TABLE, WIDE_TABLE, read_result, write_failures, write_tables
from thale.batch.run import BatchRun
from thale.batch.sources import Sources, find_sources
from thale.cli.server_connection import connect_or_start
from thale.cli.tables import traits_table
from thale.client import Parameters
from thale.errors import ParameterError

EXIT_OK, EXIT_SOME_FAILED, EXIT_INTERRUPTED = 0, 1, 130
FAILURES_FILE = "failed.csv"
_MAX_LISTED = 20


@dataclass(frozen=True)
class AnalyzeOptions:
    """What `thale analyze` was asked for."""

    paths: list[str]
    out: Path
    recursive: bool
    parameters: Parameters
    coco: bool
    server: str | None
    home: Path | None
    weights: Path | None


def analyze_images(options: AnalyzeOptions, console: Console, stderr_console: Console) -> int:
    """Measure the images, write the tables, say how it went, and return the exit status.

    Whatever ends it early (Ctrl-C, a server that is gone) leaves tables of what is done, and the same command goes on
    from there.

    Raises:
        ParameterError: If there is nothing to measure, or it was asked wrongly.
        LaptopError, ServerError: If no server answers, or answers no longer.
    """
    sources = find_sources(options.paths, options.recursive)
    if not sources.images:
        raise ParameterError(f"there are no images in {', '.join(options.paths)}; folders in folders need --recursive")

    def notify(line: str) -> None:
        stderr_console.print(f"[yellow]![/] {escape(line)}", highlight=False)

    with ResultIndex.open(options.out) as ledger:
        try:
            with (
                connect_or_start(options.server, options.home, options.weights, notify) as client,
                _progress_bar(console) as progress,
            ):
                task = progress.add_task("measuring", total=len(sources.images))
                run = BatchRun(client, ledger, options.out, options.parameters, lambda outcome: progress.advance(task))
                try:
                    with _graceful_interrupt(progress.console):
                        run.measure(sources.images)
                finally:
                    progress.stop()
                    _write_summary(options, sources, run, ledger, console, stderr_console)
        except KeyboardInterrupt:
            console.print("stopped: the same command goes on from here")
            return EXIT_INTERRUPTED
    return EXIT_SOME_FAILED if run.summary.by_kind("failed") else EXIT_OK


def _write_summary(
    options: AnalyzeOptions,
    sources: Sources,
    run: BatchRun,
    ledger: ResultIndex,
    console: Console,
    stderr_console: Console,
) -> None:
    """Write the tables over all results of the folder, and tell how the images fared."""
    write_tables(options.out, ledger.finished_names(), options.coco)
    failures = [(str(outcome.source.path), outcome.reason) for outcome in run.summary.by_kind("failed")]
    write_failures(options.out / FAILURES_FILE, failures)
    succeeded = run.summary.by_kind("measured") + run.summary.by_kind("skipped")
    if len(sources.images) == 1 and succeeded:
        console.print(traits_table(read_result(options.out, succeeded[0].name), console.width))
    counts = [
        f"{len(run.summary.by_kind('measured'))} measured",
        f"{len(run.summary.by_kind('kept'))} skipped (already measured)",
    ]
    counts += [f"[red]{len(failures)} failed[/]"] if failures else []
    missing = len(sources.images) - len(run.summary.outcomes)
    counts += [f"{missing} left to do"] if missing else []
    counts += [f"{sources.skipped} other files passed over"] if sources.skipped else []
    tables = ", ".join([LONG_TABLE, WIDE_TABLE, *([COCO] if options.coco else [])])
    console.print(
        f"\n{', '.join(counts)}. Results in [bold]{escape(str(options.out))}[/]: {tables}",
        highlight=False,
        soft_wrap=True,
    )
    _print_warnings(run, console)
    for path, reason in failures[:_MAX_LISTED]:
        stderr_console.print(f"[red]x[/] {escape(path)}: {escape(reason)}", highlight=False)
    if len(failures) > _MAX_LISTED:
        stderr_console.print(f"[red]x[/] … and {len(failures) - _MAX_LISTED} more: see {options.out / FAILURES_FILE}")


def _print_warnings(run: BatchRun, console: Console) -> None:
    for outcome in run.summary.renamed_outcomes()[:_MAX_LISTED]:
        line = f"{outcome.source.path} is called {outcome.name} in the results: another file has its name"
        console.print(f"[yellow]![/] {escape(line)}", highlight=False, soft_wrap=True)
    for copy, original in run.summary.duplicates()[:_MAX_LISTED]:
        line = f"{copy.source.path} is byte for byte a copy of {original.source.path}"
        console.print(f"[yellow]![/] {escape(line)}", highlight=False, soft_wrap=True)


def _progress_bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), TextColumn("eta"), TimeRemainingColumn(), console=console)


@contextmanager
def _graceful_interrupt(console: Console) -> Iterator[None]:
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
