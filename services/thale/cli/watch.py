"""`thale watch`: measures the new images of a folder until it is stopped."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

HomeOption = Annotated[
    Path | None, typer.Option(envvar="THALE_HOME", help="Data directory. Default: in the user's data folder.")
]
ServerOption = Annotated[str | None, typer.Option(envvar="THALE_SERVER", help="Address of a running server.")]
_MAX_DELAY_S = 60.0


def watch(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of the images.")],
    experiment: Annotated[str, typer.Option(help="Name or id of an existing experiment.")],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Include subfolders.")] = False,
    interval_s: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between two polls.")] = 5.0,
    mm_per_px: Annotated[float | None, typer.Option(help="Scale in millimetres per pixel.")] = None,
    plate_width_mm: Annotated[float | None, typer.Option(help="Outer width of the plate. Default: 120.")] = None,
    expected_plants: Annotated[int | None, typer.Option(min=1, max=1000, help="Plants on each plate.")] = None,
    server: ServerOption = None,
    home: HomeOption = None,
) -> None:
    """Add new images of a folder to an experiment and measure them, until Ctrl-C.

    An image is taken when its file did not change between two polls. After a restart, measured images are skipped.
    """
    from thale.batch.folder_watch import FolderWatch
    from thale.cli.server_connection import connect_running
    from thale.imaging.scale_limits import validate_scale

    validate_scale(mm_per_px, plate_width_mm)
    stderr = Console(stderr=True, soft_wrap=True, highlight=False)
    with connect_running(server, home) as client:
        experiment_id = client.experiments.get(experiment).id

        def add(data: bytes, name: str) -> object:
            return client.experiments.add(
                experiment_id,
                data,
                name=name,
                mm_per_px=mm_per_px,
                plate_width_mm=plate_width_mm,
                expected_plants=expected_plants,
            )

        def report(path: str, reason: str) -> None:
            stderr.print(f"{path}: {reason}", markup=False)

        images = client.experiments.images(experiment_id)
        known = [image.sha256 for image in images if image.measurement_id is not None]
        folder_watch = FolderWatch(folder, add, known, report, recursive=recursive)
        stderr.print(f"watching {folder}, {len(known)} images are measured: stop with Ctrl-C", markup=False)
        delay_s = interval_s
        while True:
            result = folder_watch.poll()
            if result.measured or result.known or result.failed:
                stderr.print(
                    f"{result.measured} measured, {result.known} on the server already, {result.failed} failed"
                )
            delay_s = min(max(2 * delay_s, interval_s), _MAX_DELAY_S) if result.is_interrupted else interval_s
            time.sleep(delay_s)
