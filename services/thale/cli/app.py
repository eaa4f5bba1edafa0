"""Commands of `thale`: options, help texts and exit status.

Exit status: 0 success, 1 failure with a message, 2 invalid usage, 130 interrupted.
"""

import math
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from thale._version import __version__
from thale.cli.experiment import experiment
from thale.cli.keys import keys
from thale.cli.release import release
from thale.cli.watch import watch
from thale.errors import (
    InvalidTransitionError,
    MissingPackageError,
    ParameterError,
    ThaleError,
    UnknownModelError,
    UnknownVersionError,
    WrongTaskError,
    describe_missing_package,
)
from thale.host.files import describe_access_error
from thale.host.interpreter import exclude_current_folder

if TYPE_CHECKING:
    from thale.client import Parameters

_USAGE_ERRORS = (ParameterError, UnknownModelError, UnknownVersionError, WrongTaskError, InvalidTransitionError)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(release, name="release")
app.add_typer(keys, name="keys")
app.add_typer(experiment, name="experiment")
app.command()(watch)

HomeOption = Annotated[
    Path | None,
    typer.Option(envvar="THALE_HOME", help="Data directory. Default: in the user's data folder."),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        envvar="THALE_WEIGHTS",
        exists=True,
        file_okay=False,
        help="Folder of MODEL/VERSION weights. Default: packaged.",
    ),
]
ServerOption = Annotated[str | None, typer.Option(envvar="THALE_SERVER", help="Address of a running server.")]


def _positive_length(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter(f"{value} is not a positive number")
    return value


RecursiveOption = Annotated[bool, typer.Option("--recursive", "-r", help="Include subfolders.")]
MmPerPxOption = Annotated[
    float | None, typer.Option(callback=_positive_length, help="Scale of the images in millimetres per pixel.")
]
PlateWidthOption = Annotated[
    float | None, typer.Option(callback=_positive_length, help="Outer width of the plate in mm. Default: 120.")
]
ExperimentOption = Annotated[str | None, typer.Option(help="Experiment; all its images use one model version.")]
ModelOption = Annotated[str | None, typer.Option(help="Model to use, as NAME or NAME@VERSION.")]
ExpectedPlantsOption = Annotated[int | None, typer.Option(min=1, max=1000, help="Number of plants on each plate.")]
TimesOption = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="CSV table with the columns file, time (ISO 8601) and plate."),
]
TimesFromOption = Annotated[
    Literal["auto", "exif", "name"],
    typer.Option(help="Source of other times: exif, name, or auto (EXIF, else the name)."),
]
TimeZoneOption = Annotated[
    str | None, typer.Option(help="Time zone of times without an offset, such as Europe/Amsterdam.")
]
TimeOfDayOption = Annotated[
    str | None, typer.Option(help="Time of photographs whose name has only a date, such as 10:30.")
]
PlatePatternOption = Annotated[
    str | None,
    typer.Option(help="Regular expression: its first group is the plate. Default: the name without the time."),
]


def _quarter_turn(value: int) -> int:
    if value not in (0, 90, 180, 270):
        raise typer.BadParameter(f"{value} is not 90, 180 or 270")
    return value


def _table_formats(values: list[str] | None) -> list[str] | None:
    for value in values or ():
        if value not in ("csv", "xlsx", "parquet"):
            raise typer.BadParameter(f"{value} is not csv, xlsx or parquet")
    return values


RotateOption = Annotated[
    int, typer.Option(callback=_quarter_turn, help="Clockwise turn that brings the shoots up: 90, 180 or 270.")
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Refuse images that may not show an upright plate.")]
TimeoutOption = Annotated[
    float | None,
    typer.Option(callback=_positive_length, help="Max seconds for each image, up to the server's limit."),
]
FormatOption = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        callback=_table_formats,
        help="Also write the tables as xlsx or parquet; repeatable. CSV is always written.",
    ),
]
BomOption = Annotated[
    bool, typer.Option("--bom", help="Start the CSV tables with a byte order mark, so that Excel reads UTF-8.")
]

PlantcvOption = Annotated[
    bool, typer.Option("--plantcv", help="Also write plantcv.json for all images, for plantcv-utils json2csv.")
]
EngineOption = Annotated[
    Literal["server", "dask"],
    typer.Option(help="`dask` needs no server: it hosts the models in processes (pip install 'thale[batch]')."),
]
EngineWorkersOption = Annotated[
    int | None, typer.Option(min=1, max=1024, help="Processes of the engine dask. Default: one per core.")
]


@app.command()
def up(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the facade. Default: the first free port from 8080.")
    ] = None,
    home: HomeOption = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Worker processes per model. Default: one for each four cores."),
    ] = None,
    weights: WeightsOption = None,
    analyze: Annotated[
        str | None,
        typer.Option(metavar="IMAGE", help="Measure this image after the start; 'sample' renders one."),
    ] = None,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the results of --analyze.")] = Path("results"),
) -> None:
    """Start the local platform (facade and TorchServe), and serve until Ctrl-C."""
    from thale.cli.up import UpOptions, serve_until_interrupted

    serve_until_interrupted(UpOptions(home, port, workers, weights, analyze, out), Console(), _stderr_console())


@app.command()
def analyze(
    paths: Annotated[list[str], typer.Argument(help="Images, folders, or quoted patterns such as 'day*/*.png'.")],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the results; resumes an earlier run.")],
    recursive: RecursiveOption = False,
    mm_per_px: MmPerPxOption = None,
    plate_width_mm: PlateWidthOption = None,
    experiment: ExperimentOption = None,
    model: ModelOption = None,
    expected_plants: ExpectedPlantsOption = None,
    page: Annotated[int | None, typer.Option(min=0, help="Page of TIFFs with several pages, from 0.")] = None,
    rotate: RotateOption = 0,
    strict: StrictOption = False,
    timeout_s: TimeoutOption = None,
    formats: FormatOption = None,
    bom: BomOption = False,
    coco: Annotated[bool, typer.Option("--coco", help="Also write coco.json for all images.")] = False,
    plantcv: PlantcvOption = False,
    engine: EngineOption = "server",
    workers: EngineWorkersOption = None,
    server: ServerOption = None,
    home: HomeOption = None,
    weights: WeightsOption = None,
) -> None:
    """Measure images; write JSON, overlay and RSML for each image, and tables of all images.

    Uses the local platform if it is running, else starts it and stops it at the end. Skips an image if a result of the
    same image, models and options exists.
    """
    from thale.cli.analyze import AnalyzeOptions, analyze_images

    parameters: Parameters = {
        "mm_per_px": mm_per_px,
        "plate_width_mm": plate_width_mm,
        "experiment": experiment,
        "model": model,
        "expected_plants": expected_plants,
        "page": page,
    }
    if rotate:
        parameters["rotate"] = rotate
    if strict:
        parameters["strict"] = True
    if timeout_s is not None:
        parameters["timeout_s"] = timeout_s
    options = AnalyzeOptions(
        *(paths, out, recursive, parameters, coco, plantcv, server, home, weights, frozenset(formats or ()), bom)
    )
    if engine == "dask":
        from thale.cli.batch_engine import replace_with_analysis

        replace_with_analysis(options, workers)
    if workers is not None:
        raise ParameterError("--workers is an option of the engine dask: add --engine dask")
    raise typer.Exit(analyze_images(options, Console(), _stderr_console()))


@app.command()
def series(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the results; resumes an earlier run.")],
    paths: Annotated[
        list[str] | None, typer.Argument(help="Photographs, folders, or quoted patterns such as 'day*/*.png'.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--from", exists=True, help="Folder of results of `thale analyze`, or its traits.csv: measures nothing."
        ),
    ] = None,
    times: TimesOption = None,
    times_from: TimesFromOption = "auto",
    time_zone: TimeZoneOption = None,
    time_of_day: TimeOfDayOption = None,
    plate_pattern: PlatePatternOption = None,
    recursive: RecursiveOption = False,
    mm_per_px: MmPerPxOption = None,
    plate_width_mm: PlateWidthOption = None,
    experiment: ExperimentOption = None,
    model: ModelOption = None,
    expected_plants: ExpectedPlantsOption = None,
    server: ServerOption = None,
    home: HomeOption = None,
    weights: WeightsOption = None,
) -> None:
    """Follow the same plants through time: growth rates with intervals, and flags.

    Measures the photographs as `thale analyze` does, or reads its results with --from. Writes series.csv (one row per
    plant, photograph and trait), growth.csv (one row per plant, trait and interval, and per series) and series.json.
    """
    from thale.cli.analyze import AnalyzeOptions
    from thale.cli.series import SeriesOptions, follow_series

    if bool(paths) == (results is not None):
        raise ParameterError("pass either photographs, or a folder of results with --from")
    parameters: Parameters = {
        "mm_per_px": mm_per_px,
        "plate_width_mm": plate_width_mm,
        "experiment": experiment,
        "model": model,
        "expected_plants": expected_plants,
        "page": None,
    }
    analyze_options = AnalyzeOptions(paths or [], out, recursive, parameters, False, False, server, home, weights)
    options = SeriesOptions(analyze_options, results, times, times_from, time_zone, time_of_day, plate_pattern)
    raise typer.Exit(follow_series(options, Console(), _stderr_console()))


@app.command()
def models(server: ServerOption = None, home: HomeOption = None) -> None:
    """List the models of a running server with version, state, traffic and quality."""
    from thale.cli.server_connection import connect_running
    from thale.cli.tables import models_table

    with connect_running(server, home) as client:
        Console().print(models_table(client.models()))


@app.command()
def capacity(
    rps: Annotated[float, typer.Option(min=0.01, help="Requests per second in the busiest hour.")],
    mix: Annotated[str, typer.Option(help="Shares of the size classes, with sum 1.")] = "1mp=0.2,4mp=0.5,16mp=0.3",
    environment: Annotated[str, typer.Option(help="Environment: dev, staging or prod.")] = "prod",
    headroom: Annotated[float, typer.Option(min=0, max=0.95, help="Share of the capacity that stays free.")] = 0.3,
    efficiency: Annotated[float, typer.Option(min=0.01, max=1, help="Busy share of a predictor's cores.")] = 0.8,
    gpu_speedup: Annotated[float | None, typer.Option(help="Use GPU nodes; measured speedup over one core.")] = None,
    day: Annotated[bool, typer.Option(help="Simulate a day of traffic with the autoscalers.")] = True,
    limits: Annotated[
        str, typer.Option(help="Limits of the day: configured, or planned (raised to the plan).")
    ] = "planned",
    plot: Annotated[Path | None, typer.Option(dir_okay=False, help="Plot the simulated day to this PNG file.")] = None,
    node_start_s: Annotated[float, typer.Option(min=0, help="Seconds until a new node is ready.")] = 180.0,
    gpu_node_start_s: Annotated[float, typer.Option(min=0, help="Seconds until a new GPU node is ready.")] = 540.0,
    pod_start_s: Annotated[float, typer.Option(min=0, help="Seconds until a scheduled predictor is ready.")] = 40.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation.")] = 1,
    benchmark: Annotated[Path | None, typer.Option(help="Benchmark by loadtests/knee.py. Default: packaged.")] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Prices (format: capacity/prices.toml). Default: packaged.")
    ] = None,
) -> None:
    """Calculate the replicas, nodes and cost for a load, and simulate a day of traffic."""
    from thale.capacity.cluster_scaling import Delays
    from thale.capacity.plan import Demand
    from thale.cli.capacity import CapacityOptions, print_plan, read_mix

    demand = Demand(rps, read_mix(mix), headroom, efficiency, gpu_speedup)
    delays = Delays(predictor_s=pod_start_s, node_s=node_start_s, gpu_node_s=gpu_node_start_s)
    print_plan(CapacityOptions(demand, environment, benchmark, prices, day, limits, delays, seed, plot), Console())


def _print_version(is_requested: bool) -> None:
    if is_requested:
        typer.echo(f"thale {__version__}")
        raise typer.Exit


@app.callback()
def _thale(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Measure plant traits in millimetres from photographs."""


def _stderr_console() -> Console:
    return Console(stderr=True, soft_wrap=True)


def main() -> None:
    """Run the command line."""
    exclude_current_folder()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # not if it is ignored, as under nohup
            signal.signal(number, signal.default_int_handler)
    warnings.showwarning = _show_warning
    try:
        app()
    except ThaleError as error:
        _exit_with(error)
    # `pip install thale` has the client only.
    except ModuleNotFoundError as error:
        remedy = describe_missing_package(error)
        if remedy is None:
            raise
        _exit_with(MissingPackageError(remedy))
    # Boundary of the file system: a full disk or a missing permission is one sentence, wherever it occurs.
    except OSError as error:
        access_error = describe_access_error(error)
        if access_error is None:
            raise
        _exit_with(access_error)


def _show_warning(message: Warning | str, *_origin: object, **_options: object) -> None:
    """Print a warning as one line, without the place in the code."""
    _stderr_console().print(f"[yellow]![/] {escape(str(message))}", highlight=False)


def _exit_with(error: ThaleError) -> NoReturn:
    _stderr_console().print(f"[bold red]thale:[/] {escape(str(error))}", highlight=False)
    sys.exit(2 if isinstance(error, _USAGE_ERRORS) else 1)
