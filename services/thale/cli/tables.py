"""Tables of the commands: the traits of a plate, the models, and the API keys."""

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from thale.phenotyping.plates import plate_number, split_plates
from thale.schemas import Flag, ModelInfo, Phenotype, Plant, TraitValue

if TYPE_CHECKING:
    from thale.auth.keyring import ApiKeyRecord

_NAME_WIDTH, _FIXED_WIDTH, _NUMBER_WIDTH = 26, 35, 9  # five plants fit into 80 columns
_MAX_REMARKS = 12
_MAX_METRICS = 3
_UNKNOWN = "-"
_QUALITY_MARKS = {"ok": "", "uncertain": "~", "unknown": ""}


def traits_table(phenotype: Phenotype, width: int) -> RenderableType:
    """Return the traits of a plate: one row per trait, one column per plant, followed by the flags.

    Plants beyond a width of `width` characters are in further tables.
    """
    renderables: list[RenderableType] = [_heading(phenotype)]
    plants = phenotype.plants
    plants_per_table = max(1, (width - _FIXED_WIDTH) // _NUMBER_WIDTH)
    for start in range(0, len(plants), plants_per_table):
        renderables.append(_plants_table(plants[start : start + plants_per_table]))
    for part in split_plates(phenotype):
        if part.traits:
            title = f"plate {plate_number(part)}" if len(phenotype.plates) > 1 else "whole plate"
            renderables.append(_plate_table(part.traits, title))
    renderables += [f"[yellow]![/] {escape(line)}" for line in _remarks(phenotype)]
    return Group(*renderables)


def _heading(phenotype: Phenotype) -> str:
    image, scale = phenotype.image, phenotype.scale
    size = f"{image.width} x {image.height} px"
    scale_text = (
        f"{scale.mm_per_px:.4f} mm/px ({scale.source.replace('_', ' ')})" if scale.is_known else "no scale: pixels only"
    )
    models = ", ".join(f"{model.name} {model.version}" for model in phenotype.provenance.models)
    count = len(phenotype.plants)
    plants = f"{count} plant{'' if count == 1 else 's'}"
    return (
        f"\n[bold]{escape(image.name or 'image')}[/]: {plants}, {size}, {scale_text}, "
        f"{escape(models)}, {phenotype.timings.total_s:.1f} s"
    )


def _plants_table(plants: Sequence[Plant]) -> Table:
    table = _new_table("trait")
    for plant in plants:
        table.add_column(f"plant {plant.id}", justify="right", no_wrap=True)
    names = dict.fromkeys((trait.trait, trait.unit) for plant in plants for trait in plant.traits)
    by_plant = [{(trait.trait, trait.unit): trait for trait in plant.traits} for plant in plants]
    for name, unit in names:
        cells = [_format_value(traits.get((name, unit))) for traits in by_plant]
        table.add_row(name.replace("_", " "), _format_unit(unit), *cells)
    return table


def _plate_table(traits: Sequence[TraitValue], title: str) -> Table:
    table = _new_table(title)
    table.add_column("value", justify="right", no_wrap=True)
    for trait in traits:
        table.add_row(trait.trait.replace("_", " "), _format_unit(trait.unit), _format_value(trait))
    return table


def _new_table(first: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column(first, max_width=_NAME_WIDTH)
    table.add_column("unit", no_wrap=True)
    return table


def _format_unit(unit: str) -> str:
    return "" if unit == "1" else unit


def _format_value(trait: TraitValue | None) -> str:
    if trait is None or math.isnan(trait.value):
        return _UNKNOWN
    text = f"{trait.value:.0f}" if abs(trait.value) >= 1000 else f"{trait.value:.4g}"
    return f"{_QUALITY_MARKS[trait.quality]}{text}"


def _remarks(phenotype: Phenotype) -> Iterator[str]:
    """Yield each flag message once with its plants, and a legend for uncertain numbers."""
    plants_by_message: dict[str, list[int]] = {}
    for flag in phenotype.flags:
        plants_by_message.setdefault(flag.message, [])
    for plant in phenotype.plants:
        for flag in _plant_flags(plant):
            names = plants_by_message.setdefault(flag.message, [])
            if plant.id not in names:
                names.append(plant.id)
    for message, names in list(plants_by_message.items())[:_MAX_REMARKS]:
        prefix = f"plant{'' if len(names) == 1 else 's'} {', '.join(map(str, names))}: " if names else ""
        yield f"{prefix}{message}"
    if len(plants_by_message) > _MAX_REMARKS:
        yield f"{len(plants_by_message) - _MAX_REMARKS} more remarks are in the result files"
    traits = [trait for plant in phenotype.plants for trait in plant.traits] + list(phenotype.traits)
    if any(trait.quality == "uncertain" for trait in traits):
        yield "~ marks uncertain numbers"


def _plant_flags(plant: Plant) -> Iterator[Flag]:
    yield from plant.flags
    for root in plant.roots:
        yield from root.flags
    for trait in plant.traits:
        yield from trait.flags


def models_table(models: Iterable[ModelInfo]) -> Table:
    """Return a table with one row per model version. A star marks the default of several versions."""
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


def keys_table(records: Iterable["ApiKeyRecord"], now: datetime) -> Table:
    """Return a table with one row per API key. Times are in UTC."""
    table = Table(box=SIMPLE_HEAD)
    for title in ("id", "name", "scopes", "created", "ends", "state"):
        table.add_column(title, no_wrap=title != "name")
    for record in records:
        end = record.expires if record.revoked is None else min(record.expires, record.revoked)
        table.add_row(
            record.id,
            escape(record.name),
            ", ".join(sorted(record.scopes)),
            f"{record.created:%Y-%m-%d}",
            f"{end:%Y-%m-%d %H:%M}",
            record.state(now),
        )
    return table


def _metrics(metrics: dict[str, float]) -> str:
    known = [(name, value) for name, value in metrics.items() if math.isfinite(value)]
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in known[:_MAX_METRICS]) or _UNKNOWN
