"""What the commands print: a plate's traits, the models."""

import math
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from thale.contract import Flag, ModelInfo, Phenotype, Plant, TraitValue

_PLANTS_A_TABLE = 8
_KEY_METRICS = 3
_UNKNOWN = "-"
_QUALITY_MARKS = {"ok": "", "uncertain": "~", "unknown": ""}


def traits_table(phenotype: Phenotype) -> RenderableType:
    """Return a plate's traits: a row for each trait, a column for each plant, what to know about them below."""
    parts: list[RenderableType] = [_heading(phenotype)]
    plants = phenotype.plants
    for start in range(0, len(plants), _PLANTS_A_TABLE):
        parts.append(_plants_table(plants[start : start + _PLANTS_A_TABLE]))
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
    table = Table("trait", "unit")
    for plant in plants:
        table.add_column(f"plant {plant.id}", justify="right")
    names = dict.fromkeys((trait.trait, trait.unit) for plant in plants for trait in plant.traits)
    by_plant = [{(trait.trait, trait.unit): trait for trait in plant.traits} for plant in plants]
    for name, unit in names:
        cells = [_number(traits.get((name, unit))) for traits in by_plant]
        table.add_row(name.replace("_", " "), unit, *cells)
    return table


def _plate_table(traits: Sequence[TraitValue]) -> Table:
    table = Table("of the whole plate", "unit")
    table.add_column("value", justify="right")
    for trait in traits:
        table.add_row(trait.trait.replace("_", " "), trait.unit, _number(trait))
    return table


def _number(trait: TraitValue | None) -> str:
    if trait is None or math.isnan(trait.value):
        return _UNKNOWN
    value = trait.value
    text = str(int(value)) if value == int(value) and abs(value) < 1e9 and trait.unit == "count" else f"{value:.4g}"
    return f"{_QUALITY_MARKS[trait.quality]}{text}"


def _remarks(phenotype: Phenotype) -> Iterator[str]:
    """Yield every flag once, with the plants that it is about; the mark for uncertain numbers is explained."""
    about: dict[str, list[str]] = {}
    for flag in phenotype.flags:
        about.setdefault(flag.message, [])
    for plant in phenotype.plants:
        for flag in _flags_of(plant):
            names = about.setdefault(flag.message, [])
            if f"plant {plant.id}" not in names:
                names.append(f"plant {plant.id}")
    for message, names in about.items():
        yield f"{', '.join(names)}: {message}" if names else message
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
    """Return the models: a row for each version."""
    table = Table("model", "version", "task", "state", "traffic", "scale", "quality")
    for model in models:
        for served in model.versions:
            table.add_row(
                model.name,
                f"{served.version}{' (default)' if served.default else ''}",
                model.task,
                served.state,
                f"{served.traffic_percent:g} %",
                f"{served.card.mm_per_px:g} mm/px",
                _metrics(served.card.metrics),
            )
    return table


def _metrics(metrics: dict[str, float]) -> str:
    known = [(name, value) for name, value in metrics.items() if math.isfinite(value)]
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in known[:_KEY_METRICS]) or _UNKNOWN
