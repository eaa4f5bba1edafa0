"""What the commands print: a plate's traits, the models."""

import math
from collections.abc import Iterable, Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from thale.schemas import Flag, ModelInfo, Phenotype, Plant, TraitValue

_NAME_WIDTH, _FIXED_WIDTH, _NUMBER_WIDTH = 26, 35, 9  # five plants fit into 80 characters
_REMARKS = 12
_KEY_METRICS = 3
_UNKNOWN = "-"
_QUALITY_MARKS = {"ok": "", "uncertain": "~", "unknown": ""}


def traits_table(phenotype: Phenotype, width: int) -> RenderableType:
    """Return a plate's traits: a row for each trait, a column for each plant, what to know about them below.

    Plants that do not fit into `width` characters get a table of their own.
    """
    parts: list[RenderableType] = [_heading(phenotype)]
    plants = phenotype.plants
    at_once = max(1, (width - _FIXED_WIDTH) // _NUMBER_WIDTH)
    for start in range(0, len(plants), at_once):
        parts.append(_plants_table(plants[start : start + at_once]))
    if phenotype.traits:
        parts.append(_plate_table(phenotype.traits))
    parts += [f"[yellow]![/] {escape(line)}" for line in _remarks(phenotype)]
    return Group(*parts)


def _heading(phenotype: Phenotype) -> str:
    image, scale = phenotype.image, phenotype.scale
    size = f"{image.width} x {image.height} px"
    measure = (
        f"{scale.mm_per_px:.4f} mm/px ({scale.source.replace('_', ' ')})" if scale.known else "no scale: pixels only"
    )
    models = ", ".join(f"{model.name} {model.version}" for model in phenotype.provenance.models)
    count = len(phenotype.plants)
    plants = f"{count} plant{'' if count == 1 else 's'}"
    return (
        f"\n[bold]{escape(image.name or 'image')}[/]: {plants}, {size}, {measure}, "
        f"{escape(models)}, {phenotype.timings.total_s:.1f} s"
    )


def _plants_table(plants: Sequence[Plant]) -> Table:
    table = _table("trait")
    for plant in plants:
        table.add_column(f"plant {plant.id}", justify="right", no_wrap=True)
    names = dict.fromkeys((trait.trait, trait.unit) for plant in plants for trait in plant.traits)
    by_plant = [{(trait.trait, trait.unit): trait for trait in plant.traits} for plant in plants]
    for name, unit in names:
        cells = [_number(traits.get((name, unit))) for traits in by_plant]
        table.add_row(name.replace("_", " "), _unit(unit), *cells)
    return table


def _plate_table(traits: Sequence[TraitValue]) -> Table:
    table = _table("whole plate")
    table.add_column("value", justify="right", no_wrap=True)
    for trait in traits:
        table.add_row(trait.trait.replace("_", " "), _unit(trait.unit), _number(trait))
    return table


def _table(first: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column(first, max_width=_NAME_WIDTH)
    table.add_column("unit", no_wrap=True)
    return table


def _unit(unit: str) -> str:
    return "" if unit == "1" else unit


def _number(trait: TraitValue | None) -> str:
    if trait is None or math.isnan(trait.value):
        return _UNKNOWN
    text = f"{trait.value:.0f}" if abs(trait.value) >= 1000 else f"{trait.value:.4g}"
    return f"{_QUALITY_MARKS[trait.quality]}{text}"


def _remarks(phenotype: Phenotype) -> Iterator[str]:
    """Yield every flag once, with the plants that it is about; the mark for uncertain numbers is explained."""
    about: dict[str, list[int]] = {}
    for flag in phenotype.flags:
        about.setdefault(flag.message, [])
    for plant in phenotype.plants:
        for flag in _flags_of(plant):
            names = about.setdefault(flag.message, [])
            if plant.id not in names:
                names.append(plant.id)
    for message, names in list(about.items())[:_REMARKS]:
        whose = f"plant{'' if len(names) == 1 else 's'} {', '.join(map(str, names))}: " if names else ""
        yield f"{whose}{message}"
    if len(about) > _REMARKS:
        yield f"{len(about) - _REMARKS} more remarks stand in the results"
    traits = [trait for plant in phenotype.plants for trait in plant.traits] + list(phenotype.traits)
    if any(trait.quality == "uncertain" for trait in traits):
        yield "numbers with ~ are uncertain"


def _flags_of(plant: Plant) -> Iterator[Flag]:
    yield from plant.flags
    for root in plant.roots:
        yield from root.flags
    for trait in plant.traits:
        yield from trait.flags


def models_table(models: Iterable[ModelInfo]) -> Table:
    """Return the models: a row for each version; of several, the star marks the one that answers by default."""
    table = Table(box=SIMPLE_HEAD)
    for title in ("model", "version", "task", "state", "traffic", "mm/px"):
        table.add_column(title, no_wrap=True)
    table.add_column("quality")
    for model in models:
        for served in model.versions:
            table.add_row(
                model.name,
                f"{served.version}{'*' if served.default and len(model.versions) > 1 else ''}",
                model.task,
                served.state,
                f"{served.traffic_percent:g} %",
                f"{served.card.mm_per_px:g}",
                _metrics(served.card.metrics),
            )
    return table


def _metrics(metrics: dict[str, float]) -> str:
    known = [(name, value) for name, value in metrics.items() if math.isfinite(value)]
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in known[:_KEY_METRICS]) or _UNKNOWN
