"""`thale up`: start the platform, perhaps measure one image, and serve until Ctrl-C."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from thale.errors import LaptopError, ParameterError
from thale.local import aot_cache_build
from thale.local.background_process import errand
from thale.local.data_dir import Home
from thale.local.platform import Instance, serve

SAMPLE = "sample"
_SAMPLE_SEED = 6


@dataclass(frozen=True)
class Wish:
    """What `thale up` was asked for."""

    home: Path | None
    port: int | None
    workers: int
    weights: Path | None
    image: str | None
    out: Path


def serve_until_interrupted(wish: Wish, console: Console, complaints: Console) -> None:
    """Start, tell where everything is, and serve. Ctrl-C is the way to end it, and no error.

    Raises:
        LaptopError: If the platform cannot start, or a service was given up.
        ThaleError: If the image was asked for and cannot be measured.
    """
    home = Home.at(wish.home)
    if wish.image not in (None, SAMPLE) and not Path(wish.image).is_file():
        raise ParameterError(f"there is no file {wish.image!r}")

    def say(line: str) -> None:
        complaints.print(f"[yellow]![/] {escape(line)}", highlight=False)

    try:
        with serve(home, say, port=wish.port, workers=wish.workers, weights=wish.weights) as instance:
            with _drawing_sample(home, wish.image == SAMPLE) as sample:
                with console.status("starting the models"):
                    instance.wait_until_ready()
                _introduce(instance, home, console)
            if wish.image is not None:
                # Imported only now: what measures and draws takes longer to import than the services to start.
                from thale.cli.sample_run import measure_and_show

                measure_and_show(instance.url, sample or Path(wish.image), wish.out, console)
            console.print("\nserving until Ctrl-C")
            with aot_cache_build.in_background(home):
                instance.wait()
    except KeyboardInterrupt:
        console.print("stopped")


def _introduce(instance: Instance, home: Home, console: Console) -> None:
    models = ", ".join(f"{name} {model.stable}" for name, model in sorted(instance.record.models.items()))
    console.print(f"[bold green]thale is ready[/] at [bold]{instance.url}[/]")
    console.print(f"  how to call it  {instance.url}/openapi.json")
    console.print(f"  models          {escape(models)}", highlight=False)
    console.print(f"  figures         http://127.0.0.1:{instance.ports.metrics}/")
    console.print(f"  metrics         http://127.0.0.1:{instance.ports.metrics}/metrics")
    console.print(f"  logs            {escape(str(home.logs))}", highlight=False, soft_wrap=True)


@contextmanager
def _drawing_sample(home: Home, wanted: bool) -> Iterator[Path | None]:
    """Draw the sample plate once, in a process of its own while the models start; give the folder where it will be.

    Raises:
        LaptopError: If it cannot be drawn.
    """
    folder = home.folder / "sample"
    if not wanted:
        yield None
    elif any(folder.glob("images/plate-*.[jp][pn]g")):
        yield folder / "images"
    else:
        words = ("synthesize", "--out", str(folder), "--plates", "1", "--seed", str(_SAMPLE_SEED), "--split", "test")
        with errand(sys.executable, "-m", "thale_models.cli", *words) as drawing:
            yield folder / "images"
            complaint = drawing.complaint()
        if complaint is not None:
            raise LaptopError(f"the sample plate cannot be drawn: {complaint}")
