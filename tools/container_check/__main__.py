"""Runs both images, measures a synthetic plate, compares it with its ground truth, and prints the image sizes."""

import argparse
import shlex
import sys
import time

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from deploy.smoke import TraitCheck, compare_traits, draw_smoke_plate
from thale.client import Client
from tools.container_check.stack import MODEL_SERVER, SERVICES, ContainerError, ContainerRunner, run_stack


def main() -> int:
    """Check the images. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.container_check", description=__doc__)
    parser.add_argument("--engine", default="podman", help="podman or docker")
    parser.add_argument("--tag", default="dev", help="tag of the images")
    parser.add_argument("--run-flags", default="", help="flags for `run` of the engine, in shell syntax")
    options = parser.parse_args()
    engine, console = ContainerRunner(options.engine, shlex.split(options.run_flags)), Console()
    try:
        checks, seconds = _check_sample_plate(engine, options.tag)
        console.print(_checks_table(checks), f"response in {seconds:.1f} s", _sizes_table(engine, options.tag))
    except ContainerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0 if all(check.is_within_tolerance for check in checks) else 1


def _check_sample_plate(engine: ContainerRunner, tag: str) -> tuple[list[TraitCheck], float]:
    plate = draw_smoke_plate()
    with run_stack(engine, tag) as stack, Client(stack.url, api_key=stack.api_key) as client:
        started_s = time.monotonic()
        phenotype = client.phenotype(plate.encoded)
        return list(compare_traits(phenotype, plate)), time.monotonic() - started_s


def _checks_table(checks: list[TraitCheck]) -> Table:
    table = Table("trait", "measured", "expected", "", box=SIMPLE_HEAD)
    for check in checks:
        cells = (
            f"{check.measured:.4g}",
            f"{check.expected:.4g}",
            "ok" if check.is_within_tolerance else "[red]failed[/]",
        )
        table.add_row(check.name, *cells)
    return table


def _sizes_table(engine: ContainerRunner, tag: str) -> Table:
    table = Table("image", "MB", "Python packages", "Debian packages", box=SIMPLE_HEAD)
    for name in (SERVICES, MODEL_SERVER):
        image = f"{name}:{tag}"
        sboms = (engine.sbom(image, ecosystem)["components"] for ecosystem in ("python", "debian"))
        table.add_row(image, f"{engine.size_mb(image):.0f}", *(str(len(components)) for components in sboms))
    return table


if __name__ == "__main__":
    sys.exit(main())
