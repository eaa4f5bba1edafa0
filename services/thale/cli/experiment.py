"""`thale experiment`: experiments of a server, whose images and measurements stay."""

import hashlib
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from thale.cli.experiment_export import export_experiment
from thale.cli.experiment_push import push_experiment
from thale.errors import ImageError, ParameterError, ScaleError

if TYPE_CHECKING:
    from thale.batch.sources import Source
    from thale.client import Client, Parameters
    from thale.schemas.experiment import JobRequest

experiment = typer.Typer(
    no_args_is_help=True,
    help="Create experiments, add images, and export tables. They stay on the server until they are deleted.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_POLL_S = 1.0
HomeOption = Annotated[
    Path | None, typer.Option(envvar="THALE_HOME", help="Data directory. Default: in the user's data folder.")
]
ServerOption = Annotated[str | None, typer.Option(envvar="THALE_SERVER", help="Address of a running server.")]
NameArgument = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Name or id of the experiment.")]


@experiment.command()
def create(
    name: Annotated[str, typer.Argument(help="Unique name of the experiment.")],
    description: Annotated[str, typer.Option(help="Free text.")] = "",
    design: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="CSV table with `plate` or `image`, and a column per factor."),
    ] = None,
    retain_until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day (UTC). The server then deletes it.")
    ] = None,
    server: ServerOption = None,
    home: HomeOption = None,
) -> None:
    """Create an experiment, or replace the design table of an existing one."""
    from thale.cli.server_connection import connect_running
    from thale.errors import ExperimentExistsError

    with connect_running(server, home) as client:
        try:
            created = client.experiments.create(name, description, retain_until.date() if retain_until else None)
        except ExperimentExistsError:
            if design is None:
                raise
            created = client.experiments.get(name)
        if design is not None:
            table = client.experiments.put_design(created.id, design)
            _print_design(len(table.rows), table.unmatched_rows, table.images_without_row)
        typer.echo(created.id)


@experiment.command("list")
def list_experiments(server: ServerOption = None, home: HomeOption = None) -> None:
    """List the experiments with the numbers of their images."""
    from thale.cli.server_connection import connect_running

    table = Table("name", "id", "images", "measured", "created")
    table.columns[1].no_wrap = True
    with connect_running(server, home) as client:
        for found in client.experiments.list():
            table.add_row(found.name, found.id, str(found.images), str(found.measured), found.created_at[:16])
    Console().print(table)


@experiment.command()
def add(
    name: NameArgument,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Images, folders or patterns.")],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Include subfolders.")] = False,
    measure: Annotated[bool, typer.Option(help="--no-measure stores the images only, for `run`.")] = True,
    mm_per_px: Annotated[float | None, typer.Option(help="Scale in millimetres per pixel.")] = None,
    plate_width_mm: Annotated[float | None, typer.Option(help="Outer width of the plate. Default: 120.")] = None,
    expected_plants: Annotated[int | None, typer.Option(min=1, max=1000, help="Plants on each plate.")] = None,
    server: ServerOption = None,
    home: HomeOption = None,
) -> None:
    """Add images and measure them. Run it again after an interruption: images on the server are skipped."""
    from thale.batch.sources import find_sources
    from thale.cli.server_connection import connect_running
    from thale.imaging.scale_limits import validate_scale

    validate_scale(mm_per_px, plate_width_mm)
    sources = find_sources(paths, recursive)
    parameters: Parameters = {
        "mm_per_px": mm_per_px,
        "plate_width_mm": plate_width_mm,
        "expected_plants": expected_plants,
    }
    stderr = Console(stderr=True, soft_wrap=True, highlight=False)
    with connect_running(server, home) as client:
        failures = [*sources.failures, *_add_images(client, name, sources.images, parameters, measure, stderr)]
    for path, reason in failures:
        stderr.print(f"{path}: {reason}", markup=False)
    if failures:
        raise typer.Exit(1)


def _add_images(
    client: "Client",
    name: str,
    sources: "Iterable[Source]",
    parameters: "Parameters",
    measure: bool,
    stderr: Console,
) -> list[tuple[str, str]]:
    """Add images that the server lacks, and return the failed ones with their reasons."""
    known = {
        image.sha256 for image in client.experiments.images(name) if not measure or image.measurement_id is not None
    }
    failures: list[tuple[str, str]] = []
    added = skipped = 0
    with Progress(console=stderr, transient=True) as progress:
        for source in progress.track(list(sources), description="adding images"):
            try:
                data = source.path.read_bytes()
                if hashlib.sha256(data).hexdigest() in known:
                    skipped += 1
                    continue
                named: Parameters = {**parameters, "name": source.path.name}
                client.experiments.add(name, data, measure=measure, **named)
            except (ImageError, ScaleError, ParameterError, OSError) as error:
                failures.append((source.shown_path, str(error)))
            else:
                added += 1
    stderr.print(f"{added} added, {skipped} on the server already, {len(failures)} failed")
    return failures


@experiment.command()
def run(
    name: NameArgument,
    remeasure: Annotated[bool, typer.Option("--remeasure", help="Measure all images, also measured ones.")] = False,
    mm_per_px: Annotated[float | None, typer.Option(help="Scale in millimetres per pixel.")] = None,
    plate_width_mm: Annotated[float | None, typer.Option(help="Outer width of the plate. Default: 120.")] = None,
    expected_plants: Annotated[int | None, typer.Option(min=1, max=1000, help="Plants on each plate.")] = None,
    engine: Annotated[
        Literal["server", "dask"],
        typer.Option(help="`dask` needs no running server: it opens the store and hosts the models in processes."),
    ] = "server",
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Processes of the engine dask. Default: one per core.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask scheduler, as tls://HOST:PORT. Default: processes on this machine.")
    ] = None,
    server: ServerOption = None,
    home: HomeOption = None,
) -> None:
    """Measure the images of an experiment in a job, and show its progress. The job continues after Ctrl-C."""
    from thale.schemas.experiment import JobRequest

    request = JobRequest(
        experiment=name,
        remeasure=remeasure,
        mm_per_px=mm_per_px,
        plate_width_mm=plate_width_mm,
        expected_plants=expected_plants,
    )
    if engine == "dask":
        from thale.cli.batch_engine import replace_with_engine

        if server is not None:
            raise ParameterError("the engine dask opens the store itself: omit --server and THALE_SERVER")
        replace_with_engine(request, home, workers, scheduler)
    if workers is not None or scheduler is not None:
        raise ParameterError("--workers and --scheduler are options of the engine dask: add --engine dask")
    _run_on_server(request, server, home)


def _run_on_server(request: "JobRequest", server: str | None, home: Path | None) -> None:
    from thale.cli.server_connection import connect_running

    stderr = Console(stderr=True, soft_wrap=True, highlight=False)
    with connect_running(server, home) as client, Progress(console=stderr) as progress:
        job = client.experiments.submit_job(request)
        task = progress.add_task(job.id, total=job.progress.total)
        while job.state == "running":
            time.sleep(_POLL_S)
            job = client.experiments.job(job.id)
            progress.update(task, completed=job.progress.total - job.progress.queued - job.progress.running)
    counts = job.progress
    typer.echo(f"{job.id} {counts.measured} measured, {counts.failed + counts.quarantined} failed")
    if counts.measured < counts.total:
        raise typer.Exit(1)


@experiment.command()
def table(
    name: NameArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="File with the suffix .csv, .xlsx or .parquet.")],
    long: Annotated[bool, typer.Option("--long", help="A row per plant and trait. Default: a row per plant.")] = False,
    server: ServerOption = None,
    home: HomeOption = None,
) -> None:
    """Write the traits of all images, joined with the design table."""
    from thale.cli.server_connection import connect_running
    from thale.host.files import write_atomically

    suffix = out.suffix.lower().removeprefix(".")
    if suffix not in ("csv", "xlsx", "parquet"):
        raise ParameterError(f"{out} has no suffix of a table: name it .csv, .xlsx or .parquet")
    with connect_running(server, home) as client:
        data = client.experiments.table(name, "long" if long else "wide", suffix)  # type: ignore[arg-type]
    write_atomically(out, data)


experiment.command(name="export")(export_experiment)
experiment.command(name="push")(push_experiment)


@experiment.command()
def delete(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for a confirmation.")] = False,
    server: ServerOption = None,
    home: HomeOption = None,
) -> None:
    """Delete an experiment with its images and measurements. It cannot be undone."""
    from thale.cli.server_connection import connect_running

    with connect_running(server, home) as client:
        found = client.experiments.get(name)
        if not yes:
            typer.confirm(f"delete {found.name!r} with {found.images} images?", abort=True)
        typer.echo(f"deleted {found.id} and {client.experiments.delete(found.id).images} images")


@experiment.command()
def retain(
    name: NameArgument,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day (UTC). Default: no end.")
    ] = None,
    server: ServerOption = None,
    home: HomeOption = None,
) -> None:
    """Set the last day on which the server keeps an experiment, or keep it until it is deleted."""
    from thale.cli.server_connection import connect_running

    with connect_running(server, home) as client:
        changed = client.experiments.retain(name, until.date() if until else None)
        day = changed.retain_until
        typer.echo(f"{changed.name} is kept " + ("until it is deleted" if day is None else f"until {day}"))


@experiment.command()
def backup(
    target: Annotated[Path, typer.Argument(help="New folder for the backup.")],
    home: HomeOption = None,
) -> None:
    """Copy the local store into a new folder, also while the platform runs."""
    from thale.experiments.backup import back_up
    from thale.local.data_dir import DataDir

    typer.echo(f"{back_up(DataDir.resolve(home).experiments, target)} images")


@experiment.command()
def restore(
    source: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of a backup.")],
    home: HomeOption = None,
) -> None:
    """Restore the local store from a backup. The platform must be stopped, and the store must not exist."""
    from thale.experiments.backup import restore as restore_backup
    from thale.local.data_dir import DataDir

    data_dir = DataDir.resolve(home)
    with data_dir.lock():
        typer.echo(f"{restore_backup(source, data_dir.experiments)} images")


def _print_design(rows: int, unmatched: int, without_row: int) -> None:
    stderr = Console(stderr=True, soft_wrap=True, highlight=False)
    stderr.print(f"design table: {rows} rows, {unmatched} without an image yet, {without_row} images without a row")
