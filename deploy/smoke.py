"""Has a drawn plate measured through the gateway, and compares the traits with what was drawn."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from rich.box import SIMPLE_HEAD
from rich.table import Table

from deploy import cluster as clusters
from deploy import gateway
from deploy.context import DeployContext
from deploy.errors import SmokeError
from thale.schemas import Phenotype
from thale_models.synthesis import SyntheticPlate, TruePlant, draw_plate

ARTIFACT = "smoke.json"
_SEED = 2028
"""A plate with five seedlings, 1800 by 1700 px, that the default models 1.0.0 measure within 4 % of the truth."""
_SCALE_TOLERANCE = 0.02
_LENGTH_TOLERANCE = 0.10
"""A model that works is well within it, wrong weights or a wrong scale are not. How good one is, `evaluate` tells."""


@dataclass(frozen=True)
class TraitCheck:
    """A figure of the answer beside the truth."""

    name: str
    measured: float
    expected: float
    tolerance: float
    """Relative; 0 means equal."""

    @property
    def is_within_tolerance(self) -> bool:
        """Whether it is near enough. What was not measured is not."""
        return abs(self.measured - self.expected) <= self.tolerance * abs(self.expected)


def run(context: DeployContext) -> None:
    """Ask for the plate's traits and compare.

    Raises:
        SmokeError: If there is no answer, or it is not this plate's.
    """
    cluster = clusters.connect(context)
    endpoint = gateway.find_gateway(context, cluster)
    plate = draw_smoke_plate()
    began = time.monotonic()
    response = gateway.send_image(context, cluster, endpoint, plate.encoded)
    seconds = time.monotonic() - began
    try:
        phenotype = Phenotype.model_validate_json(response)
    except ValidationError as error:
        raise SmokeError(f"https://{endpoint.host} answers, but not as thale does: {response[:300]!r}") from error
    checks = compare_traits(phenotype, plate)
    context.console.print(_table(checks))
    if wrong := [check.name for check in checks if not check.is_within_tolerance]:
        raise SmokeError(f"the answer is not this plate's: {', '.join(wrong)}")
    models = {model.name: model.version for model in phenotype.provenance.models}
    summary = {"address": endpoint.address, "host": endpoint.host, "models": models, "seconds": round(seconds, 1)}
    (context.folder / ARTIFACT).write_text(json.dumps({**summary, "version": phenotype.provenance.package_version}))


def draw_smoke_plate() -> SyntheticPlate:
    """Return the plate: the same bytes everywhere."""
    return draw_plate(_SEED, plants=5, width=1800, height=1700, style="backlit")


def compare_traits(phenotype: Phenotype, plate: SyntheticPlate) -> Sequence[TraitCheck]:
    """Return what is compared: plants, scale, every primary root from left to right, and all roots together."""
    measured = {trait.trait: trait.value for trait in phenotype.traits}
    primaries = [
        next((trait.value for trait in plant.traits if trait.trait == "primary_root_length"), math.nan)
        for plant in phenotype.plants
    ]
    expected = [_length_mm(plant, plate.mm_per_px, {1}) for plant in plate.plants]
    found = [*primaries, *[math.nan] * (len(expected) - len(primaries))]
    total = sum(_length_mm(plant, plate.mm_per_px) for plant in plate.plants)
    return [
        TraitCheck("plants", len(phenotype.plants), len(plate.plants), 0),
        TraitCheck("mm per pixel", phenotype.scale.mm_per_px, plate.mm_per_px, _SCALE_TOLERANCE),
        *(
            TraitCheck(f"primary root {number}, mm", found[number - 1], length, _LENGTH_TOLERANCE)
            for number, length in enumerate(expected, start=1)
        ),
        TraitCheck("all roots, mm", measured.get("plate_total_root_length", math.nan), total, _LENGTH_TOLERANCE),
    ]


def _length_mm(plant: TruePlant, mm_per_px: float, orders: set[int] | None = None) -> float:
    """Return the length of a plant's roots as they were drawn, in mm; of all orders if none are named."""
    roots = [root for root in plant.roots if orders is None or root.order in orders]
    return mm_per_px * sum(
        math.dist(a, b) for root in roots for a, b in zip(root.points, root.points[1:], strict=False)
    )


def _table(checks: Sequence[TraitCheck]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("trait", "measured", "drawn", "allowed", ""):
        table.add_column(title, justify="left" if title in ("trait", "") else "right")
    for check in checks:
        allowed = f"±{check.tolerance:.0%}" if check.tolerance else "equal"
        table.add_row(
            check.name,
            f"{check.measured:.4g}",
            f"{check.expected:.4g}",
            allowed,
            "" if check.is_within_tolerance else "[red]no[/]",
        )
    return table
