"""Run both images, have a drawn plate measured, compare it with what was drawn, and print what the images weigh."""

import argparse
import shlex
import sys
import time

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from deploy.smoke import Check, compare, draw_smoke_plate
from thale.client import Client
from tools.container_check.stack import MODEL_SERVER, SERVICES, ContainerError, Engine, running_pair


def main() -> int:
    """Try the images. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m images", description=__doc__)
    parser.add_argument("--engine", default="podman", help="podman or docker")
    parser.add_argument("--tag", default="dev", help="the images' tag")
    parser.add_argument("--run-flags", default="", help="flags for the engine's run, as a shell would read them")
    said = parser.parse_args()
    engine, console = Engine(said.engine, shlex.split(said.run_flags)), Console()
    try:
        checks, seconds = _measure(engine, said.tag)
        console.print(_traits(checks), f"answered in {seconds:.1f} s", _weights(engine, said.tag))
    except ContainerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0 if all(check.holds for check in checks) else 1


def _measure(engine: Engine, tag: str) -> tuple[list[Check], float]:
    plate = draw_smoke_plate()
    with running_pair(engine, tag) as pair, Client(pair.url) as client:
        began = time.monotonic()
        phenotype = client.phenotype(plate.encoded)
        return list(compare(phenotype, plate)), time.monotonic() - began


def _traits(checks: list[Check]) -> Table:
    table = Table("trait", "measured", "true", "", box=SIMPLE_HEAD)
    for check in checks:
        told = f"{check.measured:.4g}", f"{check.true:.4g}", "as drawn" if check.holds else "[red]off[/]"
        table.add_row(check.what, *told)
    return table


def _weights(engine: Engine, tag: str) -> Table:
    table = Table("image", "MB", "Python packages", "Debian packages", box=SIMPLE_HEAD)
    for name in (SERVICES, MODEL_SERVER):
        image = f"{name}:{tag}"
        inventories = (engine.inventory(image, of)["components"] for of in ("python", "debian"))
        table.add_row(image, f"{engine.size_mb(image):.0f}", *(str(len(components)) for components in inventories))
    return table


if __name__ == "__main__":
    sys.exit(main())
