"""`thale analyze`: measurement of many images into a folder of results."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from thale.batch.result_index import ResultIndex
from thale.batch.results import COCO, LONG_TABLE, PLANTCV, WIDE_TABLE, read_result, write_failures, write_tables
from thale.batch.run import CONCURRENCY, BatchRun, Measurer, TableContent
from thale.batch.sources import Sources, find_sources, printable
from thale.batch.table_formats import convert_tables
from thale.cli.server_connection import connect_or_start
from thale.cli.tables import traits_table
from thale.client import Parameters
from thale.errors import ParameterError

EXIT_OK, EXIT_SOME_FAILED, EXIT_INTERRUPTED = 0, 1, 130
FAILURES_FILE = "failed.csv"
_MAX_LISTED = 20
Connect = Callable[[Callable[[str], None]], AbstractContextManager[Measurer]]
"""Returns the context of a measurer. Its argument shows a line to the user."""


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
    formats: frozenset[str] = frozenset()
    """Formats of the tables besides CSV."""
    with_bom: bool = False
    """True if the CSV tables start with a byte order mark, for Excel."""


def analyze_images(
    options: AnalyzeOptions,
    console: Console,
    stderr_console: Console,
    connect: Connect | None = None,
    concurrency: int = CONCURRENCY,
) -> int:
    """Measure the images, write the tables, print a summary, and return the exit status.

    If the run ends early (Ctrl-C, unreachable server), the tables contain the finished results. The same command
    resumes the run.

    Args:
        options: The options of the command.
        console: Receives progress and summary.
        stderr_console: Receives failures.
        connect: Returns the measurer. None: the server of the options, or the local platform.
        concurrency: Images that are measured at a time.

    Raises:
        ParameterError: If there are no images, or an option is invalid.
        LocalPlatformError, ServerError: If no server can be started or reached, or it fails.
    """
    sources = find_sources(options.paths, options.recursive)
    if not sources.images:
        raise _no_images_error(options, sources)

    def notify(line: str) -> None:
        stderr_console.print(f"[yellow]![/] {escape(line)}", highlight=False)

    def connect_to_server(notify: Callable[[str], None]) -> AbstractContextManager[Measurer]:
        return connect_or_start(options.server, options.home, options.weights, notify)

    with ResultIndex.open(options.out) as index:
        try:
            with (
                (connect or connect_to_server)(notify) as client,
                _progress_bar(console) as progress,
            ):
                task = progress.add_task("measuring", total=len(sources.images))
                run = BatchRun(
                    *(client, index, options.out, options.parameters),
                    on_outcome=lambda outcome: progress.advance(task),
                    concurrency=concurrency,
                )
                try:
                    with _graceful_interrupt(progress.console):
                        run.measure(sources.images)
                finally:
                    progress.stop()
                    _write_summary(options, sources, run, console, stderr_console)
        except KeyboardInterrupt:
            console.print("interrupted: run the same command again to resume")
            return EXIT_INTERRUPTED
    return EXIT_SOME_FAILED if sources.failures or run.summary.by_kind("failed") else EXIT_OK


def _write_summary(
    options: AnalyzeOptions,
    sources: Sources,
    run: BatchRun,
    console: Console,
    stderr_console: Console,
) -> None:
    """Write the tables of the folder's results with equal parameters and models, and print a summary."""
    content = run.table_content()
    write_tables(
        options.out, content.names, with_coco=options.coco, with_plantcv=options.plantcv, with_bom=options.with_bom
    )
    converted = convert_tables(options.out, options.formats)
    failures = [
        *sources.failures,
        *((outcome.source.shown_path, outcome.reason) for outcome in run.summary.by_kind("failed")),
    ]
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
    tables = ", ".join([LONG_TABLE, WIDE_TABLE, *converted, *optional_files])
    console.print(
        f"\n{', '.join(counts)}. Results in [bold]{escape(str(options.out))}[/]: {tables}",
        highlight=False,
        soft_wrap=True,
    )
    _print_omitted(sources, console)
    _print_warnings(run, console)
    _print_other_results(content, console)
    for path, reason in failures[:_MAX_LISTED]:
        stderr_console.print(f"[red]x[/] {escape(path)}: {escape(reason)}", highlight=False)
    if len(failures) > _MAX_LISTED:
        stderr_console.print(f"[red]x[/] … and {len(failures) - _MAX_LISTED} more: see {options.out / FAILURES_FILE}")


def _print_other_results(content: TableContent, console: Console) -> None:
    """Print which results of earlier runs are in the tables, and which are not."""
    for names, remark in (
        (
            content.from_earlier_runs,
            "results of earlier runs are not in the tables, because this command does not name their photographs",
        ),
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


def _no_images_error(options: AnalyzeOptions, sources: Sources) -> ParameterError:
    listed = ", ".join(map(printable, options.paths))
    if sources.failures:
        path, reason = sources.failures[0]
        return ParameterError(f"there are no readable images in {listed}: {path}: {reason}")
    if sources.unsupported:
        return ParameterError(
            f"there are no readable images in {listed}: convert {sources.unsupported[0]} to JPEG, PNG or TIFF"
        )
    return ParameterError(f"there are no images in {listed}: pass --recursive to include subfolders")


def _print_omitted(sources: Sources, console: Console) -> None:
    """Print the folders and photographs that were not measured."""
    for paths, remark in (
        (sources.omitted_folders, "sub-folders were not read (pass --recursive)"),
        (sources.unsupported, "photographs were not measured (convert them to JPEG, PNG or TIFF)"),
    ):
        if paths:
            more = f" and {len(paths) - _MAX_LISTED} more" if len(paths) > _MAX_LISTED else ""
            line = f"{len(paths)} {remark}: {', '.join(paths[:_MAX_LISTED])}{more}"
            console.print(f"[yellow]![/] {escape(line)}", highlight=False, soft_wrap=True)


def _print_warnings(run: BatchRun, console: Console) -> None:
    for outcome in run.summary.shortened_outcomes()[:_MAX_LISTED]:
        line = f"{outcome.source.shown_path} has the result name {outcome.name}, because its name is too long"
        console.print(f"[yellow]![/] {escape(line)}", highlight=False, soft_wrap=True)
    for outcome in run.summary.renamed_outcomes()[:_MAX_LISTED]:
        line = f"{outcome.source.shown_path} has the result name {outcome.name}, because another file has the same name"
        console.print(f"[yellow]![/] {escape(line)}", highlight=False, soft_wrap=True)
    for copy, original in run.summary.duplicates()[:_MAX_LISTED]:
        line = f"{copy.source.shown_path} is a copy of {original.source.shown_path}"
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
