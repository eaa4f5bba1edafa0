"""The commands: what they are called, what they take, and how they end.

Exit status: 0 all is well, 1 something failed and was named, 2 asked wrongly, 130 interrupted.
"""

import math
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from thale._version import __version__
from thale.cli.release import release
from thale.errors import (
    InvalidTransitionError,
    ParameterError,
    ThaleError,
    UnknownModelError,
    UnknownVersionError,
    WrongTaskError,
)

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

HomeOption = Annotated[
    Path | None,
    typer.Option(envvar="THALE_HOME", help="Folder of models, logs and records. Default: your data folder."),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        envvar="THALE_WEIGHTS",
        exists=True,
        file_okay=False,
        help="Folder of MODEL/VERSION weights. Default: thale's own.",
    ),
]
ServerOption = Annotated[str | None, typer.Option(envvar="THALE_SERVER", help="Address of a running server.")]


def _positive_length(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter(f"{value} is not a positive number")
    return value


@app.command()
def up(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: 8080, or the next that is free.")] = None,
    home: HomeOption = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes for each model.")] = 1,
    weights: WeightsOption = None,
    analyze: Annotated[
        str | None, typer.Option(metavar="IMAGE", help="Measure this image at the start; 'sample' draws a plate.")
    ] = None,
    out: Annotated[Path, typer.Option(file_okay=False, help="Where the results of --analyze go.")] = Path("results"),
) -> None:
    """Start the models and the web service on this machine, and serve until Ctrl-C."""
    from thale.cli.up import UpOptions, serve_until_interrupted

    serve_until_interrupted(UpOptions(home, port, workers, weights, analyze, out), Console(), _stderr_console())


@app.command()
def analyze(
    paths: Annotated[list[str], typer.Argument(help="Images, folders, or quoted patterns such as 'day*/*.png'.")],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the results; a run there is continued.")],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Folders with all that is below them.")] = False,
    mm_per_px: Annotated[
        float | None, typer.Option(callback=_positive_length, help="Scale of the images, if known.")
    ] = None,
    plate_width_mm: Annotated[
        float | None, typer.Option(callback=_positive_length, help="Outer width of the plate. Default: 120.")
    ] = None,
    experiment: Annotated[str | None, typer.Option(help="All images of one experiment get one model version.")] = None,
    model: Annotated[str | None, typer.Option(help="NAME or NAME@VERSION of the model to use.")] = None,
    expected_plants: Annotated[int | None, typer.Option(min=1, max=1000, help="Plants on each plate.")] = None,
    page: Annotated[int | None, typer.Option(min=0, help="Which page of TIFFs of several, from 0.")] = None,
    coco: Annotated[bool, typer.Option("--coco", help="Write coco.json over all images as well.")] = False,
    server: ServerOption = None,
    home: HomeOption = None,
    weights: WeightsOption = None,
) -> None:
    """Measure images: a JSON, an overlay and an RSML for each, and tables over all of them.

    Uses the server that runs on this machine, or starts one and stops it at the end. Results that are there already
    are kept, as long as the image, the models and the options are the same.
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
    options = AnalyzeOptions(paths, out, recursive, parameters, coco, server, home, weights)
    raise typer.Exit(analyze_images(options, Console(), _stderr_console()))


@app.command()
def models(server: ServerOption = None, home: HomeOption = None) -> None:
    """List the models of the running server: versions, state, share of the traffic, quality."""
    from thale.cli.server_connection import connect_running
    from thale.cli.tables import models_table

    with connect_running(server, home) as client:
        Console().print(models_table(client.models()))


@app.command()
def capacity(
    rps: Annotated[float, typer.Option(min=0.01, help="Requests a second in the busiest hour.")],
    mix: Annotated[
        str, typer.Option(help="Share of each class of image size; they sum up to 1.")
    ] = "1mp=0.2,4mp=0.5,16mp=0.3",
    environment: Annotated[str, typer.Option(help="dev, staging or prod: whose sizes and limits.")] = "prod",
    headroom: Annotated[float, typer.Option(min=0, max=0.95, help="Part of all capacity that stays free.")] = 0.3,
    efficiency: Annotated[
        float, typer.Option(min=0.01, max=1, help="Part of a predictor's cores busy while it works.")
    ] = 0.8,
    gpu_speedup: Annotated[
        float | None, typer.Option(help="Predictors on GPU nodes, so many times faster than a core (measure it first).")
    ] = None,
    day: Annotated[bool, typer.Option(help="Play a day of traffic with the autoscalers.")] = True,
    limits: Annotated[
        str, typer.Option(help="In the day: 'planned' raises maxima to the plan's, 'configured' leaves them.")
    ] = "planned",
    plot: Annotated[Path | None, typer.Option(dir_okay=False, help="Draw the day as PNG.")] = None,
    node_start_s: Annotated[float, typer.Option(min=0, help="From a node's order to ready.")] = 180.0,
    gpu_node_start_s: Annotated[float, typer.Option(min=0, help="Likewise, with a GPU.")] = 540.0,
    pod_start_s: Annotated[float, typer.Option(min=0, help="From a predictor's place on a node to ready.")] = 40.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the day's chance.")] = 1,
    benchmark: Annotated[
        Path | None, typer.Option(help="A measurement by loadtests/knee.py. Default: thale's.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Prices as in services/thale/capacity/prices.toml. Default: those.")
    ] = None,
) -> None:
    """Say how many replicas and nodes a load takes, at what cost, and play a day of it."""
    from thale.capacity.cluster_scaling import Delays
    from thale.capacity.plan import Demand
    from thale.cli.capacity import CapacityOptions, print_plan, read_mix

    demand = Demand(rps, read_mix(mix), headroom, efficiency, gpu_speedup)
    delays = Delays(predictor_s=pod_start_s, node_s=node_start_s, gpu_node_s=gpu_node_start_s)
    print_plan(CapacityOptions(demand, environment, benchmark, prices, day, limits, delays, seed, plot), Console())


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"thale {__version__}")
        raise typer.Exit


@app.callback()
def _thale(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say it and exit.")
    ] = False,
) -> None:
    """Traits in millimetres from plant photographs."""


def _stderr_console() -> Console:
    return Console(stderr=True, soft_wrap=True)


def main() -> None:
    """Run the command line."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored, and means it
            signal.signal(number, signal.default_int_handler)
    try:
        app()
    except ThaleError as error:
        _stderr_console().print(f"[bold red]thale:[/] {escape(str(error))}", highlight=False)
        sys.exit(2 if isinstance(error, _USAGE_ERRORS) else 1)
