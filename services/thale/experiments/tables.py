"""Tables of an experiment: the current measurement of each image, joined with the design table.

The format is that of `thale.exports.table`, with further columns: the name of the plate, the measurement, the number of
its corrections, and the factors of the design table. An image without a measurement has one row in the wide table, with
the flag `not_measured`.
"""

import csv
import functools
import itertools
import json
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from sqlalchemy import Connection, Row, Text, cast, func, select

from thale.experiments.catalogue import get_experiment, read_design
from thale.experiments.database import Database
from thale.experiments.design import DesignIndex
from thale.experiments.models import (
    CorrectionRow,
    ExperimentImageRow,
    MeasurementRow,
    SubjectRow,
    TraitRow,
)
from thale.experiments.trait_definitions import StoredTraitDefinition, read_definitions
from thale.exports.names import trait_column
from thale.exports.table import LONG_COLUMNS, TRAIT_ORDER, TRAIT_SUFFIXES, WIDE_COLUMNS, Cell, format_cell

OWN_COLUMNS = ("plate_name", "measurement_id", "corrections")
NOT_MEASURED = "not_measured"
_Row = Row[*tuple[Any, ...]]
TableForm = Literal["long", "wide"]
_NO_TRAIT = "," * len(TRAIT_SUFFIXES)
_IMAGES_AT_A_TIME = 100
"""SQLite accepts 32,766 parameters, and the traits of 100 large images fit into memory."""
_TRAITS_AT_A_TIME = 500
_WIDE_TRAIT: tuple[Any, ...] = (TraitRow.subject_id, TraitRow.definition_id, TraitRow.value, TraitRow.interval_low)
_WIDE_TRAIT += (TraitRow.interval_high, TraitRow.quality)


@dataclass(frozen=True)
class _Image:
    """An image of the experiment, with its current measurement."""

    name: str
    sha256: str
    plate: str
    measurement_id: str | None
    corrections: int
    models: str
    digests: str
    config_digest: str
    package_version: str
    created: str


@dataclass(frozen=True)
class _Subject:
    """A row of `subjects`, with its image and its row of the design table."""

    id: int
    level: str
    plate: int | None
    plant: int | None
    flags: str
    scale: Sequence[Cell]
    image: _Image
    factors: Sequence[str]
    is_empty_plate: bool
    """True for a plate without plants, or an image without a measurement: it has a row of its own in the wide table."""

    @property
    def own(self) -> Sequence[Cell]:
        """Values of `OWN_COLUMNS` and of the factors."""
        return (self.image.plate, self.image.measurement_id, self.image.corrections, *self.factors)


def write_table(database: Database, experiment: str, form: TableForm, out: IO[str]) -> tuple[str, ...]:
    """Write a table as CSV, and return the names of its factors.

    Raises:
        UnknownExperimentError: If the experiment does not exist.
        ExperimentStoreError: If the store cannot be used.
    """
    with database.read() as connection:
        found = get_experiment(connection, experiment)
        design = read_design(connection, found)
        images = _read_images(connection, found.id)
        subjects = _read_subjects(connection, images, DesignIndex(design))
        definitions = read_definitions(connection)
        writer = csv.writer(out, lineterminator="\n")
        if form == "long":
            writer.writerow((*LONG_COLUMNS, *OWN_COLUMNS, *design.factors))
            for chunk in subjects:
                groups = _read_traits(connection, (*_WIDE_TRAIT, TraitRow.flags), chunk)
                traits = {key: _long_cells(rows, definitions) for key, rows in groups}
                writer.writerows(_long_rows(chunk, traits))
        else:
            columns = _wide_columns(connection, images, definitions)
            names = [f"{column}{suffix}" for column in columns for suffix in TRAIT_SUFFIXES]
            writer.writerow((*WIDE_COLUMNS, *OWN_COLUMNS, *design.factors, *names))
            positions = {key: columns.index(item.column) for key, item in definitions.items() if item.column in columns}
            for chunk in subjects:
                groups = _read_traits(connection, _WIDE_TRAIT, (each for each in chunk if each.level == "plant"))
                cells = {key: _wide_cells(rows, positions, len(columns)) for key, rows in groups}
                _write_wide(out, chunk, cells, _NO_TRAIT * len(columns))
    return design.factors


def write_table_file(database: Database, experiment: str, form: TableForm, path: Path) -> tuple[str, ...]:
    """Write a table as a CSV file in UTF-8. Raises as `write_table`."""
    with path.open("w", encoding="utf-8", newline="") as out:
        return write_table(database, experiment, form, out)


def _wide_columns(
    connection: Connection, images: Sequence[_Row], definitions: Mapping[int, StoredTraitDefinition]
) -> list[str]:
    """Return the columns of the traits of all plants, in the order of `TRAITS`, with mm before px.

    Without statistics of new rows, PostgreSQL reads whole tables for one query, and for a query without an order. These
    ones take a tenth of that time.
    """
    found: set[tuple[str, str]] = set()
    for chunk in _chunks(images):
        ids = [image.measurement_id for image in chunk]
        plants = select(SubjectRow.id).where(SubjectRow.measurement_id.in_(ids), SubjectRow.level == "plant")
        traits = (
            select(TraitRow.definition_id)
            .where(TraitRow.subject_id.in_(connection.execute(plants).scalars().all()))
            .order_by(TraitRow.subject_id, TraitRow.number)
            .subquery()
        )
        used = select(traits.c.definition_id).distinct()
        found |= {(definitions[key].trait, definitions[key].unit) for key in connection.execute(used).scalars()}
    ordered = sorted(found, key=lambda item: (TRAIT_ORDER.get(item[0], len(TRAIT_ORDER)), *item))
    return list(dict.fromkeys(trait_column(trait, unit) for trait, unit in ordered))


def _read_images(connection: Connection, experiment_id: str) -> Sequence[_Row]:
    return connection.execute(
        select(
            ExperimentImageRow.name,
            ExperimentImageRow.sha256,
            ExperimentImageRow.plate,
            ExperimentImageRow.measurement_id,
        )
        .where(ExperimentImageRow.experiment_id == experiment_id)
        .order_by(ExperimentImageRow.number)
    ).all()


def _chunks(images: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    for start in range(0, len(images), _IMAGES_AT_A_TIME):
        yield images[start : start + _IMAGES_AT_A_TIME]


def _read_subjects(connection: Connection, images: Sequence[_Row], design: DesignIndex) -> Iterator[Sequence[_Subject]]:
    """Yield the subjects of some images at a time, in the order of the images."""
    corrections = dict(
        connection.execute(
            select(CorrectionRow.measurement_id, func.count()).group_by(CorrectionRow.measurement_id)
        ).all()
    )
    for chunk in _chunks(images):
        ids = [image.measurement_id for image in chunk if image.measurement_id is not None]
        measurements = {row[0]: row[1:] for row in connection.execute(_measurements(ids)).all()}
        rows = _group(connection.execute(_subject_rows(ids)).all())
        subjects: list[_Subject] = []
        for name, sha256, plate, measurement_id in chunk:
            if measurement_id is None:
                image = _Image(name, sha256, plate, None, 0, "", "", "", "", "")
                factors = design.find(name, plate, None)
                subjects.append(_Subject(-1, "plate", None, None, NOT_MEASURED, (None,) * 3, image, factors, True))
                continue
            models, *provenance = measurements[measurement_id]
            count = corrections.get(measurement_id, 0)
            image = _Image(name, sha256, plate, measurement_id, count, *_describe_models(models), *provenance)
            subjects += _subjects_of(image, rows[measurement_id], design)
        yield subjects


def _subjects_of(image: _Image, rows: Sequence[_Row], design: DesignIndex) -> Iterator[_Subject]:
    occupied = {row.plate for row in rows if row.level == "plant"}
    for _, subject_id, level, plate, plant, flags, *scale in rows:
        factors = design.find(image.name, image.plate, plant)
        is_empty_plate = level == "plate" and plate not in occupied
        yield _Subject(subject_id, level, plate, plant, flags, scale, image, factors, is_empty_plate)


@functools.lru_cache(maxsize=32)
def _describe_models(models: str) -> tuple[str, str]:
    """Return the names and the digests of models, which are JSON. The images of an experiment have few of them."""
    found = json.loads(models)
    names = ";".join(f"{model['name']}@{model['version']}" for model in found)
    return names, ";".join(model["digest"] for model in found)


def _measurements(ids: Sequence[str]) -> Any:
    return select(
        MeasurementRow.id,
        cast(MeasurementRow.models, Text),
        MeasurementRow.config_digest,
        MeasurementRow.package_version,
        MeasurementRow.created_at,
    ).where(MeasurementRow.id.in_(ids))


def _subject_rows(ids: Sequence[str]) -> Any:
    return (
        select(
            SubjectRow.measurement_id,
            SubjectRow.id,
            SubjectRow.level,
            SubjectRow.plate,
            SubjectRow.plant,
            SubjectRow.flags,
            SubjectRow.scale_source,
            SubjectRow.mm_per_px,
            SubjectRow.plate_width_mm,
        )
        .where(SubjectRow.measurement_id.in_(ids))
        .order_by(SubjectRow.measurement_id, SubjectRow.number)
    )


def _read_traits(
    connection: Connection, columns: Sequence[Any], subjects: Iterable[_Subject]
) -> Iterator[tuple[int, Iterator[_Row]]]:
    """Yield the id of each subject with its traits.

    Few rows exist at a time. Otherwise, Python's garbage collector needs a third of the time of a table.
    """
    statement = (
        select(*columns)
        .where(TraitRow.subject_id.in_([subject.id for subject in subjects]))
        .order_by(TraitRow.subject_id, TraitRow.number)
    )
    rows = itertools.chain.from_iterable(connection.execute(statement).partitions(_TRAITS_AT_A_TIME))
    return itertools.groupby(rows, operator.itemgetter(0))


def _group(rows: Sequence[_Row]) -> Mapping[Any, Sequence[_Row]]:
    """Return rows by their first column, which orders them."""
    return {key: list(group) for key, group in itertools.groupby(rows, operator.itemgetter(0))}


def _long_rows(
    subjects: Sequence[_Subject], traits: Mapping[int, Sequence[Sequence[str | int]]]
) -> Iterator[Sequence[str | int]]:
    for subject in subjects:
        image = subject.image
        head = [format_cell(cell) for cell in (image.name, image.sha256, subject.level, subject.plate, subject.plant)]
        provenance = (image.models, image.digests, image.config_digest, image.package_version, image.created)
        tail = [format_cell(cell) for cell in (*subject.scale, *provenance, *subject.own)]
        for cells in traits.get(subject.id, ()):
            yield (*head, *cells, *tail)


def _long_cells(
    rows: Iterable[_Row], definitions: Mapping[int, StoredTraitDefinition]
) -> Sequence[Sequence[str | int]]:
    """Return the cells of the traits of a subject."""
    cells: list[Sequence[str | int]] = []
    for _, definition_id, value, low, high, quality, flags in rows:
        found = definitions[definition_id]
        numbers = (format_cell(value), format_cell(low), format_cell(high))
        ontology = (found.ontology_id, found.ontology_relation, found.ontology_qualifier)
        cells.append((found.trait, *numbers, found.unit, *ontology, quality, flags))
    return cells


def _write_wide(out: IO[str], subjects: Sequence[_Subject], traits: Mapping[int, str], no_traits: str) -> None:
    """Write a row for each plant, and for each plate without plants."""
    writer = csv.writer(out, lineterminator="")
    for subject in subjects:
        if subject.level == "plate" and not subject.is_empty_plate:
            continue
        image = subject.image
        head = (image.name, image.sha256, subject.plate, subject.plant, subject.flags, *subject.scale, image.models)
        writer.writerow([format_cell(cell) for cell in (*head, image.package_version, *subject.own)])
        out.write(traits.get(subject.id, no_traits))
        out.write("\n")


def _wide_cells(rows: Iterable[_Row], positions: Mapping[int, int], width: int) -> str:
    """Return the cells of the traits of a plant as CSV. Numbers and qualities need no quotes."""
    cells = [_NO_TRAIT] * width
    for _, definition_id, value, low, high, quality in rows:
        if value is None or low is None or high is None:
            numbers = f",{format_cell(value)},{format_cell(low)},{format_cell(high)}"
        else:
            numbers = f",{value:.7g},{low:.7g},{high:.7g}"
        cells[positions[definition_id]] = f"{numbers},{quality}"
    return "".join(cells)
