"""`thale up`: start of the local platform, with an optional first measurement."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from thale.errors import LocalPlatformError, ParameterError
from thale.host.interpreter import python_command
from thale.local import aot_cache_build
from thale.local.background_process import run_in_background
from thale.local.data_dir import DataDir
from thale.local.platform import FACADE_GRACE_S, Platform, serve

SAMPLE = "sample"
_SAMPLE_SEED = 6


@dataclass(frozen=True)
class UpOptions:
    """Options of `thale up`."""

    home: Path | None
    port: int | None
    workers: int | None
    weights: Path | None
    image: str | None
    out: Path


def serve_until_interrupted(options: UpOptions, console: Console, stderr_console: Console) -> None:
    """Start the local platform, print its addresses, and serve until Ctrl-C, which is a normal exit.

    Raises:
        LocalPlatformError: If the platform cannot start, or a service exceeded its restart policy.
        ThaleError: If the image of --analyze cannot be measured.
    """
    data_dir = DataDir.resolve(options.home)
    if options.image not in (None, SAMPLE) and not Path(options.image).is_file():
        raise ParameterError(f"there is no file {options.image!r}: pass an image to --analyze, or 'sample'")

    def notify(line: str) -> None:
        stderr_console.print(f"[yellow]![/] {escape(line)}", highlight=False)

    try:
        with serve(data_dir, notify, port=options.port, workers=options.workers, weights=options.weights) as platform:
            try:
                _serve(options, data_dir, platform, console)
            except KeyboardInterrupt:
                console.print(
                    f"stopping after the requests in progress, within {FACADE_GRACE_S:g} s; Ctrl-C stops at once"
                )
                raise
    except KeyboardInterrupt:
        console.print("stopped")


def _serve(options: UpOptions, data_dir: DataDir, platform: Platform, console: Console) -> None:
    """Wait for the models, print the addresses, measure the image if there is one, and serve until Ctrl-C."""
    with _sample_image(data_dir, options.image == SAMPLE) as sample:
        with console.status("starting the models"):
            platform.wait_until_ready()
        _print_addresses(platform, data_dir, console)
    if options.image is not None:
        # Imported here because these imports take longer than the start of the services.
        from thale.cli.sample_run import analyze_and_print

        analyze_and_print(platform.url, sample or Path(options.image), options.out, console)
    console.print("\nserving until Ctrl-C")
    with aot_cache_build.record_aot_cache_in_background(data_dir):
        platform.wait()


def _print_addresses(platform: Platform, data_dir: DataDir, console: Console) -> None:
    models = ", ".join(f"{name} {model.stable}" for name, model in sorted(platform.release_state.models.items()))
    console.print(f"[bold green]thale is ready[/] at [bold]{platform.url}[/]")
    console.print(f"  web page        {platform.url}/")
    console.print(f"  API             {platform.url}/openapi.json")
    access = (
        "API key required" if data_dir.api_keys.exists() else "this machine, without a key (see `thale keys create`)"
    )
    console.print(f"  access          {access}", highlight=False)
    console.print(f"  models          {escape(models)}", highlight=False)
    plan = platform.plan
    capacity = f"{plan.workers} per model, threads {plan.threads}, up to {plan.max_in_flight} images at a time"
    console.print(f"  workers         {capacity} ({plan.reason})", highlight=False)
    console.print(f"  status page     {platform.addresses.metrics_url.removesuffix('metrics')}")
    console.print(f"  metrics         {platform.addresses.metrics_url}")
    console.print(f"  logs            {escape(str(data_dir.logs))}", highlight=False, soft_wrap=True)


@contextmanager
def _sample_image(data_dir: DataDir, is_requested: bool) -> Iterator[Path | None]:
    """Render the sample plate once, in a background process while the models start, and yield its folder.

    Yield None if the sample is not requested.

    Raises:
        LocalPlatformError: If the plate cannot be rendered.
    """
    folder = data_dir.path / "sample"
    if not is_requested:
        yield None
    elif any(folder.glob("images/plate-*.[jp][pn]g")):
        yield folder / "images"
    else:
        arguments = (
            "synthesize",
            "--out",
            str(folder),
            "--plates",
            "1",
            "--seed",
            str(_SAMPLE_SEED),
            "--split",
            "test",
        )
        with run_in_background(*python_command("-m", "thale_models.cli", *arguments)) as process:
            yield folder / "images"
            error = process.error_output()
        if error is not None:
            raise LocalPlatformError(f"the sample plate cannot be rendered: {error}")
