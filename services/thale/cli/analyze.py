"""`thale analyze`: measurement of many images into a folder of results."""

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
from thale.batch.results import COCO, LONG_TABLE, PLANTCV, WIDE_TABLE, read_result, write_failures, write_tables
from thale.batch.run import BatchRun, TableContent
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
    """Options of `thale analyze`."""

    paths: list[str]
    out: Path
    recursive: bool
    parameters: Parameters
    coco: bool
    plantcv: bool
    server: str | None
    home: Path | None
    weights: Path | None


def analyze_images(options: AnalyzeOptions, console: Console, stderr_console: Console) -> int:
    """Measure the images, write the tables, print a summary, and return the exit status.

    If the run ends early (Ctrl-C, unreachable server), the tables contain the finished results. The same command
    resumes the run.

    Raises:
        ParameterError: If there are no images, or an option is invalid.
        LocalPlatformError, ServerError: If no server can be started or reached, or it fails.
    """
    sources = find_sources(options.paths, options.recursive)
    if not sources.images:
        raise ParameterError(
            f"there are no images in {', '.join(options.paths)}: pass --recursive to include subfolders"
        )

    def notify(line: str) -> None:
        stderr_console.print(f"[yellow]![/] {escape(line)}", highlight=False)

    with ResultIndex.open(options.out) as index:
        try:
            with (
                connect_or_start(options.server, options.home, options.weights, notify) as client,
                _progress_bar(console) as progress,
            ):
                task = progress.add_task("measuring", total=len(sources.images))
                run = BatchRun(client, index, options.out, options.parameters, lambda outcome: progress.advance(task))
                try:
                    with _graceful_interrupt(progress.console):
                        run.measure(sources.images)
                finally:
                    progress.stop()
                    _write_summary(options, sources, run, console, stderr_console)
        except KeyboardInterrupt:
            console.print("interrupted: run the same command again to resume")
            return EXIT_INTERRUPTED
    return EXIT_SOME_FAILED if run.summary.by_kind("failed") else EXIT_OK


def _write_summary(
    options: AnalyzeOptions,
    sources: Sources,
    run: BatchRun,
    console: Console,
    stderr_console: Console,
) -> None:
    """Write the tables of the folder's results with equal parameters and models, and print a summary."""
    content = run.table_content()
    write_tables(options.out, content.names, with_coco=options.coco, with_plantcv=options.plantcv)
    failures = [(str(outcome.source.path), outcome.reason) for outcome in run.summary.by_kind("failed")]
    write_failures(options.out / FAILURES_FILE, failures)
    succeeded = run.summary.by_kind("measured") + run.summary.by_kind("skipped")
    if len(sources.images) == 1 and succeeded:
        console.print(traits_table(read_result(options.out, succeeded[0].name), console.width))
    counts = [
        f"{len(run.summary.by_kind('measured'))} measured",
        f"{len(run.summary.by_kind('skipped'))} skipped (already measured)",
    ]
    counts += [f"[red]{len(failures)} failed[/]"] if failures else []
    missing = len(sources.images) - len(run.summary.outcomes)
    counts += [f"{missing} remaining"] if missing else []
    counts += [f"{sources.skipped} other files ignored"] if sources.skipped else []
    optional_files = [*([COCO] if options.coco else []), *([PLANTCV] if options.plantcv else [])]
    tables = ", ".join([LONG_TABLE, WIDE_TABLE, *optional_files])
    console.print(
        f"\n{', '.join(counts)}. Results in [bold]{escape(str(options.out))}[/]: {tables}",
        highlight=False,
        soft_wrap=True,
    )
    _print_warnings(run, console)
    _print_other_results(content, console)
    for path, reason in failures[:_MAX_LISTED]:
        stderr_console.print(f"[red]x[/] {escape(path)}: {escape(reason)}", highlight=False)
    if len(failures) > _MAX_LISTED:
        stderr_console.print(f"[red]x[/] … and {len(failures) - _MAX_LISTED} more: see {options.out / FAILURES_FILE}")


def _print_other_results(content: TableContent, console: Console) -> None:
    """Print which results of earlier runs are in the tables, and which are not."""
    for names, remark in (
        (content.from_earlier_runs, "results of earlier runs are in the tables too"),
        (content.without_photograph, "results are not in the tables, because their photographs are gone"),
        (
            content.with_other_inputs,
            "results are not in the tables, because their parameters or models differ (measure them again)",
        ),
    ):
        if names:
            more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
            listed = ", ".join(names[:_MAX_LISTED])
            line = f"{remark}: {escape(listed)}{more}"
            console.print(f"[yellow]![/] {line}", highlight=False, soft_wrap=True)


def _print_warnings(run: BatchRun, console: Console) -> None:
    for outcome in run.summary.renamed_outcomes()[:_MAX_LISTED]:
        line = f"{outcome.source.path} has the result name {outcome.name}, because another file has the same name"
        console.print(f"[yellow]![/] {escape(line)}", highlight=False, soft_wrap=True)
    for copy, original in run.summary.duplicates()[:_MAX_LISTED]:
        line = f"{copy.source.path} is a copy of {original.source.path}"
        console.print(f"[yellow]![/] {escape(line)}", highlight=False, soft_wrap=True)


def _progress_bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), TextColumn("eta"), TimeRemainingColumn(), console=console)


@contextmanager
def _graceful_interrupt(console: Console) -> Iterator[None]:
    """On the first Ctrl-C, finish the images in progress. On the second, exit immediately."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        console.print("finishing the images in progress; press Ctrl-C again to exit immediately")
        raise KeyboardInterrupt

    previous_handler = signal.getsignal(signal.SIGINT)
    if previous_handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous_handler)
