"""`thale up --analyze IMAGE`: measurement of one image, with a table in the terminal and result files."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from thale.batch.result_index import ResultIndex
from thale.batch.results import LONG_TABLE, WIDE_TABLE, read_result, write_tables
from thale.batch.run import BatchRun, ImageOutcome
from thale.batch.sources import find_sources
from thale.cli.tables import traits_table
from thale.client import Client
from thale.errors import ThaleError


def analyze_and_print(url: str, image: Path, out: Path, console: Console) -> None:
    """Measure one image, print its traits, and write its results.

    Raises:
        ThaleError: If the image cannot be measured.
    """
    failed: list[ImageOutcome] = []
    with Client(url) as client, ResultIndex.open(out) as index, console.status("measuring"):
        run = BatchRun(client, index, out, {}, failed.append)
        run.measure(find_sources([str(image)]).images)
        outcome = run.summary.outcomes[0]
        if outcome.kind == "failed":
            raise ThaleError(f"{image}: {outcome.reason}")
        write_tables(out, index.finished_names())
    console.print(traits_table(read_result(out, outcome.name), console.width))
    files = f"{outcome.name}.json, .overlay.png, .rsml, {LONG_TABLE}, {WIDE_TABLE}"
    console.print(f"\nresults in [bold]{escape(str(out))}[/]: {escape(files)}", highlight=False, soft_wrap=True)
