"""Smoke test: sends a synthetic plate through the gateway and compares the traits with the ground truth."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from rich.box import SIMPLE_HEAD
from rich.table import Table
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from deploy import cluster as clusters
from deploy import gateway
from deploy.caller_credential import read_credential
from deploy.context import DeployContext
from deploy.errors import SmokeError
from thale.schemas import Phenotype
from thale_models.synthesis import SyntheticPlate, TruePlant, draw_plate

ARTIFACT = "smoke.json"
_STARTING = "/problems/model-starting"
"""Problem type of a request to a model that is scaled to zero (docs/gpu.md)."""
_SEED = 2028
"""A plate with five seedlings, 1800 by 1700 px, that the default models 1.0.0 measure within 7 % of the truth."""
_SCALE_TOLERANCE = 0.02
_LENGTH_TOLERANCE = 0.10
"""Working models are well within it; wrong weights or a wrong scale are not. `evaluate` measures model quality."""


@dataclass(frozen=True)
class TraitCheck:
    """A measured value and its ground truth."""

    name: str
    measured: float
    expected: float
    tolerance: float
    """Relative; 0 means equal."""

    @property
    def is_within_tolerance(self) -> bool:
        """Return whether the difference is within the tolerance; false for NaN."""
        return abs(self.measured - self.expected) <= self.tolerance * abs(self.expected)


def run(context: DeployContext) -> None:
    """Measure the plate and compare.

    Raises:
        SmokeError: If there is no valid response, or a trait is out of tolerance.
    """
    cluster = clusters.connect(context)
    endpoint = gateway.find_gateway(context, cluster)
    credential = read_credential(context)
    plate = draw_smoke_plate()
    started_s = time.monotonic()
    response = send_until_started(
        context, lambda: gateway.send_image(context, cluster, endpoint, plate.encoded, credential)
    )
    seconds = time.monotonic() - started_s
    try:
        phenotype = Phenotype.model_validate_json(response)
    except ValidationError as error:
        raise SmokeError(f"https://{endpoint.host} did not return a phenotype: {response[:300]!r}") from error
    checks = compare_traits(phenotype, plate)
    context.console.print(_table(checks))
    if failed := [check.name for check in checks if not check.is_within_tolerance]:
        raise SmokeError(f"traits out of tolerance: {', '.join(failed)}")
    models = {model.name: model.version for model in phenotype.provenance.models}
    summary = {"address": endpoint.address, "host": endpoint.host, "models": models, "seconds": round(seconds, 1)}
    (context.folder / ARTIFACT).write_text(json.dumps({**summary, "version": phenotype.provenance.package_version}))


def send_until_started(context: DeployContext, send: Callable[[], bytes]) -> bytes:
    """Send a request, and repeat it while models that are scaled to zero start: a new GPU node takes about 10 minutes.

    Raises:
        SmokeError: If the models do not start in time, or for another failure.
    """
    polling = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, SmokeError) and _STARTING in str(error)),
        stop=stop_after_delay(context.settings.wait_s),
        wait=wait_fixed(context.settings.poll_interval_s),
        reraise=True,
    )
    return polling(send)


def draw_smoke_plate() -> SyntheticPlate:
    """Return the plate: the same bytes on every machine."""
    return draw_plate(_SEED, plants=5, width=1800, height=1700, style="backlit")


def compare_traits(phenotype: Phenotype, plate: SyntheticPlate) -> Sequence[TraitCheck]:
    """Compare plant count, scale, each primary root from left to right, and the total root length."""
    measured = {trait.trait: trait.value for trait in phenotype.traits}
    primaries = [
        next((trait.value for trait in plant.traits if trait.trait == "primary_root_length"), math.nan)
        for plant in phenotype.plants
    ]
    expected_mm = [_length_mm(plant, plate.mm_per_px, {1}) for plant in plate.plants]
    measured_mm = [*primaries, *[math.nan] * (len(expected_mm) - len(primaries))]
    total = sum(_length_mm(plant, plate.mm_per_px) for plant in plate.plants)
    return [
        TraitCheck("plants", len(phenotype.plants), len(plate.plants), 0),
        TraitCheck("mm per pixel", phenotype.scale.mm_per_px, plate.mm_per_px, _SCALE_TOLERANCE),
        *(
            TraitCheck(f"primary root {number}, mm", measured_mm[number - 1], length, _LENGTH_TOLERANCE)
            for number, length in enumerate(expected_mm, start=1)
        ),
        TraitCheck("all roots, mm", measured.get("plate_total_root_length", math.nan), total, _LENGTH_TOLERANCE),
    ]


def _length_mm(plant: TruePlant, mm_per_px: float, orders: set[int] | None = None) -> float:
    """Return the true length of a plant's roots in mm, for some root orders or for all."""
    roots = [root for root in plant.roots if orders is None or root.order in orders]
    return mm_per_px * sum(
        math.dist(a, b) for root in roots for a, b in zip(root.points, root.points[1:], strict=False)
    )


def _table(checks: Sequence[TraitCheck]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("trait", "measured", "expected", "tolerance", ""):
        table.add_column(title, justify="left" if title in ("trait", "") else "right")
    for check in checks:
        allowed = f"±{check.tolerance:.0%}" if check.tolerance else "equal"
        table.add_row(
            check.name,
            f"{check.measured:.4g}",
            f"{check.expected:.4g}",
            allowed,
            "" if check.is_within_tolerance else "[red]failed[/]",
        )
    return table
