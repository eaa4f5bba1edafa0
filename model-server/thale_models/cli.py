"""Command line `thale-models`: synthesize data, train, evaluate and archive models.

An error prints one message and ends with exit status 2. Each command imports its own dependencies, because importing
torch takes seconds.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from thale.errors import ArchiveError, ParameterError, ThaleError
from thale.host.files import describe_access_error
from thale.host.interpreter import exclude_current_folder, python_command

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

MALLOC_SETTINGS = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
    "MALLOC_ARENA_MAX": "1",
}


@app.callback()
def _thale_models() -> None:
    """Synthesize training data, train, evaluate and archive models."""


@app.command()
def synthesize(
    out: Annotated[Path, typer.Option(help="Output folder. Existing plates are kept.")],
    plates: Annotated[int, typer.Option(min=1, help="Number of plates in the folder.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed. The same seed gives the same plates.")] = 0,
    split: Annotated[
        Literal["train", "val", "test"] | None,
        typer.Option(help="Split of all plates. Default: every tenth plate is val, the others are train."),
    ] = None,
    crop_px: Annotated[
        int | None, typer.Option(min=64, help="Write square crops of this size instead of plates.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 1,
    hard: Annotated[
        bool,
        typer.Option("--hard", help="Denser root systems, paler laterals, roots at the rim and under leaves."),
    ] = False,
    degraded: Annotated[
        bool,
        typer.Option("--degraded", help="Change tone, noise, polarity, resolution and compression of each photograph."),
    ] = False,
) -> None:
    """Render synthetic seedling plates with exact masks, landmarks and roots."""
    from thale_models.synthesis import Overrides, write_dataset

    overrides = Overrides(hard=True) if hard else Overrides()
    try:
        typer.echo(
            write_dataset(
                out, plates, seed, split=split, crop_px=crop_px, jobs=jobs, overrides=overrides, degraded=degraded
            )
        )
    except ValueError as error:
        raise ParameterError(f"{error}: choose another --out, or the existing settings") from error


@app.command()
def train(
    recipe: Annotated[str, typer.Option(help="Name of a recipe, such as plate-seg. An unknown name prints all.")],
    data: Annotated[Path, typer.Option(help="Folder with manifest.csv and the labelled images.")],
    out: Annotated[Path, typer.Option(help="Folder of the run. An existing run resumes.")],
    steps: Annotated[int | None, typer.Option(min=1, help="Total number of steps. Default: the recipe's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed. The same seed and data give the same weights.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that load crops; 0: load them in the training process.")
    ] = 1,
    init: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Initial weights.")] = None,
    name: Annotated[str, typer.Option(help="Name of the model. Default: the recipe's.")] = "",
    model_version: Annotated[str, typer.Option(help="Version of the model.")] = "1.0.0",
    data_description: Annotated[
        str, typer.Option(help="Description of the data. Default: the digest of the manifest.")
    ] = "",
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "not stated",
    limits: Annotated[str, typer.Option(help="Known limits of the model.")] = "",
) -> None:
    """Train a recipe on a folder of labelled images. The folder of the run always holds the best weights so far."""
    _restart_with_malloc_settings()
    from thale.models.model_card import WEIGHTS
    from thale_models.recipes import get_recipe
    from thale_models.run_artifacts import CardFields
    from thale_models.train import TrainingOptions
    from thale_models.train import train as run

    selected_recipe = get_recipe(recipe)
    options = TrainingOptions(steps or selected_recipe.steps, seed, device, workers, init)
    best = run(selected_recipe, data, out, options, CardFields(name, model_version, data_description, licence, limits))
    typer.echo(f"{out / WEIGHTS}: score {best:.3f}")


@app.command()
def archive(
    run: Annotated[Path, typer.Argument(help="Folder with weights.safetensors and card.json.", file_okay=False)],
    out: Annotated[Path, typer.Option(help="Folder of the archive.")] = Path(),
    compute_golden: Annotated[
        bool, typer.Option(help="Compute the golden predictions if the folder does not have current ones.")
    ] = True,
    compute_graph: Annotated[
        bool, typer.Option(help="Convert the OpenVINO graph if the folder does not have one of these weights.")
    ] = True,
) -> None:
    """Write weights, card, OpenVINO graph and golden predictions to an archive for TorchServe."""
    from thale.models.model_card import CARD, WEIGHTS, parse_model_card
    from thale_models.archive import read_golden_predictions, write_archive
    from thale_models.graph_files import read_graph, write_graph

    missing = [name for name in (WEIGHTS, CARD) if not (run / name).is_file()]
    if missing:
        raise ArchiveError(f"{run} has no {' and no '.join(missing)}: pass the folder of a training run")
    card = parse_model_card((run / CARD).read_bytes())
    graph = read_graph(run, card)
    if graph is None and compute_graph:
        graph = write_graph(run, card)
    golden = read_golden_predictions(run, card)
    if golden is None and compute_golden:
        from thale_models.golden import write_golden_predictions

        golden = write_golden_predictions(run, card)
    typer.echo(write_archive(run / WEIGHTS, card, out, golden, graph))


@app.command()
def lower_precision(
    model: Annotated[
        Path, typer.Argument(help="Folder of the model. Its traits in float32 are the reference.", file_okay=False)
    ],
    partner: Annotated[Path, typer.Option(help="Folder of the model of the other task. Traits need both.")],
    data: Annotated[
        list[Path], typer.Option(help="Folder with manifest.csv and RSML, not used for training. At least 20 plates.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new version, and of precision.json.")],
    model_version: Annotated[str, typer.Option(help="The new version.")],
    precision: Annotated[Literal["int8", "bfloat16"], typer.Option(help="int8 requires thale[quantisation].")] = "int8",
    calibration_plates: Annotated[int, typer.Option(min=1, help="Synthetic plates that set the ranges of int8.")] = 40,
) -> None:
    """Write a version in a lower precision, unless an error of a trait may grow by a tenth of its tolerance."""
    _restart_with_malloc_settings()
    from thale_models.evaluation.lower_precision import lower_precision as run

    growths = run(model, partner, data, out, model_version, precision, calibration_plates)
    for growth in growths:
        typer.echo(
            f"  {growth.trait:32} {growth.reference_error:.3f} -> {growth.candidate_error:.3f} tolerances, "
            f"growth {growth.growth:+.3f}, up to {growth.upper_limit:+.3f}"
        )
    typer.echo(out)


@app.command()
def golden_plates(out: Annotated[Path, typer.Option(help="Folder for the images, masks and truth.json.")]) -> None:
    """Render the golden plates again from their seeds. Every version must pass them before registration."""
    from thale_models.golden import draw_golden_plates

    for path in draw_golden_plates(out):
        typer.echo(path)


@app.command()
def evaluate(
    model: Annotated[
        list[Path], typer.Option(help="Folder of a model. Pass one model of each task to evaluate traits as well.")
    ],
    data: Annotated[Path, typer.Option(help="Folder with manifest.csv.")],
    out: Annotated[Path, typer.Option(help="Folder of metrics.json, report.md and the images.")],
    split: Annotated[Literal["train", "val", "test"], typer.Option(help="Split of the data to use.")] = "test",
    title: Annotated[str, typer.Option(help="Title of the report.")] = "Evaluation",
    engine: Annotated[Literal["openvino", "torch"], typer.Option(help="Inference engine.")] = "openvino",
    write_to_cards: Annotated[
        bool, typer.Option("--write-to-cards", help="Write the metrics to the model cards.")
    ] = False,
    error_models: Annotated[
        Path | None,
        typer.Option(envvar="THALE_ERROR_MODELS_PATH", help="Folder of your own error models. Default: the package's."),
    ] = None,
) -> None:
    """Run the full pipeline on labelled images and compare the results with the ground truth."""
    from thale_models.evaluation import evaluate as run
    from thale_models.evaluation import metrics_table, write_metrics_to_cards

    metrics = run(model, data, split, out, title, engine, error_models)
    if write_to_cards:
        write_metrics_to_cards(model, metrics, out)
    typer.echo(f"\n{title}")
    for name, value in metrics_table(metrics):
        typer.echo(f"  {name:32} {value:>12}")
    typer.echo(f"\n{out / 'report.md'}")


@app.command()
def fit_error_model(
    model: Annotated[list[Path], typer.Option(help="Folders of the segmentation model and of the landmark model.")],
    data: Annotated[
        list[Path], typer.Option(help="Folder with manifest.csv and RSML. Use at least 60 plates in total.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder or .json file of the error model. Default: the package.")
    ] = None,
    copies: Annotated[int, typer.Option(min=0, help="Degraded copies of each plate, besides the plate itself.")] = 1,
    cache: Annotated[Path | None, typer.Option(help="Folder of cached predictions. Default: in the data.")] = None,
    report: Annotated[Path | None, typer.Option(help="Markdown file of the scores. Default: none.")] = None,
    engine: Annotated[Literal["openvino", "torch"], typer.Option(help="Inference engine.")] = "openvino",
) -> None:
    """Fit intervals and quality of traits for a pair of weights. Predictions are cached, so that a run can resume."""
    _restart_with_malloc_settings()
    from thale_models.evaluation.error_model import fit_and_write_error_model, write_score_report

    path, tables = fit_and_write_error_model(model, data, copies, out, engine, cache)
    for title, table in tables.items():
        typer.echo(f"\n{title}\n{table}")
    if report is not None:
        write_score_report(report, path, tables)
    typer.echo(f"\n{path}")


@app.command()
def measure_agreement(
    model: Annotated[Path, typer.Option(help="Folder of the new version. The command writes to its card.")],
    stable: Annotated[Path, typer.Option(help="Folder of the stable version.")],
    data: Annotated[
        Path, typer.Option(help="Folder with manifest.csv. Use at least 100 plates for precise quantiles.")
    ],
    split: Annotated[Literal["train", "val", "test"], typer.Option(help="Split of the data to use.")] = "test",
    engine: Annotated[Literal["openvino", "torch"], typer.Option(help="Inference engine.")] = "openvino",
) -> None:
    """Measure the agreement of a new version with stable, as a reference for its rollout. Archive it afterwards."""
    from thale_models.evaluation import write_agreement_references

    card = write_agreement_references(model, stable, data, split, engine)
    for name, quantiles in card.references.items():
        if name.startswith("agreement_"):
            typer.echo(f"  {name:40} median {quantiles[len(quantiles) // 2]:.3f}")


@app.command()
def check_engine(
    model: Annotated[
        list[Path] | None, typer.Option(help="Folder of a model. Default: both default models of the installation.")
    ] = None,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Device of the engine.")] = "cuda",
    precision: Annotated[
        Literal["auto", "float32", "float16", "bfloat16"], typer.Option(help="Arithmetic of the network.")
    ] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, max=64, help="Maximum number of tiles in one call.")] = 8,
    plates: Annotated[int, typer.Option(min=1, help="Plates whose time is measured.")] = 10,
) -> None:
    """Check accuracy, reproducibility and speed of inference on a device, such as a GPU."""
    _restart_with_malloc_settings()
    from thale.local.runtime import find_runtime
    from thale_models.engine_check import check_engine as run
    from thale_models.torch_options import TorchOptions

    folders = model or sorted(path.parent for path in find_runtime().weights.glob("*/*/card.json"))
    reports = run(folders, TorchOptions(device, precision, batch_size), plates)
    for report in reports:
        typer.echo(f"{report.model}: {report.engine}")
        typer.echo(f"  largest difference of a probability   {report.max_difference:.2g}")
        for name, score in report.scores.items():
            typer.echo(f"  {name:37} {score:.4f}")
        typer.echo(f"  seconds of a plate, of its network    {report.plate_s:.3f}, {report.net_s:.3f}")
    pair_s = sum(report.plate_s for report in reports)
    typer.echo(f"{1 / pair_s:.2f} plates/s for one worker after the other; the same bits in each repetition")


def _restart_with_malloc_settings() -> None:
    """Re-execute this process once with the malloc settings (Linux only). Variables of the operator are kept.

    glibc reads these variables at process start. They avoid page faults of large activations: 1.5 to 2.4 times faster
    on a CPU (docs/adr/0016-malloc-keeps-large-activations.md).
    """
    if sys.platform == "linux" and not MALLOC_SETTINGS.keys() <= os.environ.keys():
        environment = {**MALLOC_SETTINGS, **os.environ}
        command = python_command("-m", "thale_models.cli", *sys.argv[1:])
        os.execve(command[0], command, environment)  # noqa: S606


def main() -> None:
    """Run the command line."""
    exclude_current_folder()
    try:
        app()
    except ThaleError as error:
        _exit_with(error)
    except OSError as error:
        access_error = describe_access_error(error)
        if access_error is None:
            raise
        _exit_with(access_error)


def _exit_with(error: ThaleError) -> NoReturn:
    print(error, file=sys.stderr)  # noqa: T201
    sys.exit(2)


if __name__ == "__main__":
    main()
