"""`thale experiment push`: an experiment to another BrAPI server."""

import os
from pathlib import Path
from typing import Annotated

import typer


def push_experiment(
    name: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Name or id of the experiment.")],
    brapi: Annotated[str, typer.Option(metavar="URL", help="Address of the BrAPI v2.1 server that receives it.")],
    server: Annotated[str | None, typer.Option(envvar="THALE_SERVER", help="Address of a running server.")] = None,
    home: Annotated[
        Path | None, typer.Option(envvar="THALE_HOME", help="Data directory. Default: in the user's data folder.")
    ] = None,
) -> None:
    """Send an experiment to another BrAPI server. THALE_BRAPI_TOKEN has its token. Run it again to send what is new."""
    from thale.cli.server_connection import connect_running
    from thale.client.brapi_push import BrapiPush
    from thale.client.brapi_server import TOKEN_VARIABLE, BrapiServer

    target = BrapiServer(brapi, os.environ.get(TOKEN_VARIABLE, "").strip())
    try:
        with connect_running(server, home) as client:
            counts = BrapiPush(client.experiments, target).run(name)
    finally:
        target.close()
    for count in counts:
        skipped = f", {count.skipped} without a value" if count.skipped else ""
        outdated = f", {count.outdated} of earlier measurements stay" if count.outdated else ""
        typer.echo(f"{count.kind}: {count.created} created, {count.known} there already{skipped}{outdated}")
