"""Tables of an experiment: the current measurement of each image, joined with the design table.

The format is that of `thale.exports.table`, with further columns: the name of the plate, the measurement, the number of
its corrections, and the factors of the design table. An image without a measurement has one row in the wide table, with
the flag `not_measured`.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from sqlalchemy import Connection, func, select

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
TableForm = Literal["long", "wide"]
_SUBJECTS_AT_A_TIME = 500
_IMAGES_AT_A_TIME = 500


@dataclass(frozen=True)
class _Subject:
    """A row of `subjects` with the columns of its image, its measurement and its design row."""

    id: int
    level: str
    plate: int | None
    plant: int | None
    flags: str
    scale: Sequence[Cell]
    image: Sequence[Cell]
    models: str
    digests: str
    config_digest: str
    package_version: str
    created: str
    own: Sequence[Cell]
    """Values of `OWN_COLUMNS` and of the factors."""
    is_empty_plate: bool
    """True for a plate without plants, or an image without a measurement: it has a row of its own in the wide table."""


def write_table(database: Database, experiment: str, form: TableForm, out: IO[str]) -> tuple[str, ...]:
    """Write a table as CSV, and return the names of its factors.

    Raises:
        UnknownExperimentError: If the experiment does not exist.
        ExperimentStoreError: If the store cannot be used.
    """
    with database.read() as connection:
        found = get_experiment(connection, experiment)
        design = read_design(connection, found)
        subjects = _read_subjects(connection, found.id, DesignIndex(design))
        definitions = read_definitions(connection)
        writer = csv.writer(out, lineterminator="\n")
        if form == "long":
            writer.writerow((*LONG_COLUMNS, *OWN_COLUMNS, *design.factors))
            for chunk in _chunks(connection, subjects, None):
                writer.writerows(_long_rows(chunk, definitions))
        else:
            columns = _wide_columns(connection, found.id, definitions)
            traits = [f"{column}{suffix}" for column in columns for suffix in TRAIT_SUFFIXES]
            writer.writerow((*WIDE_COLUMNS, *OWN_COLUMNS, *design.factors, *traits))
            for chunk in _chunks(connection, subjects, "plant"):
                writer.writerows(_wide_rows(chunk, definitions, columns))
    return design.factors


def write_table_file(database: Database, experiment: str, form: TableForm, path: Path) -> tuple[str, ...]:
    """Write a table as a CSV file in UTF-8. Raises as `write_table`."""
    with path.open("w", encoding="utf-8", newline="") as out:
        return write_table(database, experiment, form, out)


def _wide_columns(
    connection: Connection, experiment_id: str, definitions: Mapping[int, StoredTraitDefinition]
) -> list[str]:
    """Return the columns of the traits of all plants, in the order of `TRAITS`, with mm before px."""
    used = (
        select(TraitRow.definition_id)
        .distinct()
        .join(SubjectRow, SubjectRow.id == TraitRow.subject_id)
        .join(ExperimentImageRow, ExperimentImageRow.measurement_id == SubjectRow.measurement_id)
        .where(ExperimentImageRow.experiment_id == experiment_id, SubjectRow.level == "plant")
    )
    found = {(definitions[key].trait, definitions[key].unit) for key in connection.execute(used).scalars()}
    ordered = sorted(found, key=lambda item: (TRAIT_ORDER.get(item[0], len(TRAIT_ORDER)), *item))
    return list(dict.fromkeys(trait_column(trait, unit) for trait, unit in ordered))


def _read_subjects(connection: Connection, experiment_id: str, design: DesignIndex) -> Iterator[_Subject]:
    """Yield the subjects of all images, image by image."""
    corrections = dict(
        connection.execute(
            select(CorrectionRow.measurement_id, func.count()).group_by(CorrectionRow.measurement_id)
        ).all()
    )
    images = connection.execute(
        select(
            ExperimentImageRow.name,
            ExperimentImageRow.sha256,
            ExperimentImageRow.plate,
            ExperimentImageRow.measurement_id,
        )
        .where(ExperimentImageRow.experiment_id == experiment_id)
        .order_by(ExperimentImageRow.number)
    ).all()
    for start in range(0, len(images), _IMAGES_AT_A_TIME):
        chunk = images[start : start + _IMAGES_AT_A_TIME]
        ids = [image.measurement_id for image in chunk if image.measurement_id is not None]
        measurements = {row.id: row for row in connection.execute(_measurements().where(MeasurementRow.id.in_(ids)))}
        rows: dict[str, list[Any]] = {}
        for row in connection.execute(_subject_rows().where(SubjectRow.measurement_id.in_(ids))):
            rows.setdefault(row.measurement_id, []).append(row)
        for image in chunk:
            if image.measurement_id is None:
                yield _unmeasured(image, design)
                continue
            measurement = measurements[image.measurement_id]
            models = ";".join(f"{model['name']}@{model['version']}" for model in measurement.models)
            digests = ";".join(model["digest"] for model in measurement.models)
            count = corrections.get(image.measurement_id, 0)
            occupied = {row.plate for row in rows[image.measurement_id] if row.level == "plant"}
            for row in rows[image.measurement_id]:
                yield _Subject(
                    id=row.id,
                    level=row.level,
                    plate=row.plate,
                    plant=row.plant,
                    flags=row.flags,
                    scale=(row.scale_source, row.mm_per_px, row.plate_width_mm),
                    image=(image.name, image.sha256),
                    models=models,
                    digests=digests,
                    config_digest=measurement.config_digest,
                    package_version=measurement.package_version,
                    created=measurement.created_at,
                    own=(image.plate, image.measurement_id, count, *design.find(image.name, image.plate, row.plant)),
                    is_empty_plate=row.level == "plate" and row.plate not in occupied,
                )


def _measurements() -> Any:
    return select(
        MeasurementRow.id,
        MeasurementRow.models,
        MeasurementRow.config_digest,
        MeasurementRow.package_version,
        MeasurementRow.created_at,
    )


def _subject_rows() -> Any:
    return select(
        SubjectRow.measurement_id,
        SubjectRow.id,
        SubjectRow.level,
        SubjectRow.plate,
        SubjectRow.plant,
        SubjectRow.flags,
        SubjectRow.scale_source,
        SubjectRow.mm_per_px,
        SubjectRow.plate_width_mm,
    ).order_by(SubjectRow.measurement_id, SubjectRow.number)


def _unmeasured(image: Any, design: DesignIndex) -> _Subject:
    own = (image.plate, None, 0, *design.find(image.name, image.plate, None))
    return _Subject(
        -1, "plate", None, None, NOT_MEASURED, (None,) * 3, (image.name, image.sha256), "", "", "", "", "", own, True
    )


_Chunk = list[tuple[_Subject, list[Any]]]


def _chunks(connection: Connection, subjects: Iterator[_Subject], level: str | None) -> Iterator[_Chunk]:
    """Yield subjects with their traits, some at a time. With a level, only its subjects have traits."""
    chunk: list[_Subject] = []
    for subject in subjects:
        chunk.append(subject)
        if len(chunk) >= _SUBJECTS_AT_A_TIME:
            yield _with_traits(connection, chunk, level)
            chunk = []
    if chunk:
        yield _with_traits(connection, chunk, level)


def _with_traits(connection: Connection, subjects: list[_Subject], level: str | None) -> _Chunk:
    traits: dict[int, list[Any]] = {}
    ids = [subject.id for subject in subjects if level in (None, subject.level)]
    rows = connection.execute(
        select(
            TraitRow.subject_id,
            TraitRow.definition_id,
            TraitRow.value,
            TraitRow.interval_low,
            TraitRow.interval_high,
            TraitRow.quality,
            TraitRow.flags,
        )
        .where(TraitRow.subject_id.in_(ids))
        .order_by(TraitRow.subject_id, TraitRow.number)
    )
    for row in rows:
        traits.setdefault(row[0], []).append(row)
    return [(subject, traits.get(subject.id, [])) for subject in subjects]


def _long_rows(chunk: _Chunk, definitions: Mapping[int, StoredTraitDefinition]) -> Iterator[Sequence[str | int]]:
    for subject, traits in chunk:
        head = [format_cell(cell) for cell in (*subject.image, subject.level, subject.plate, subject.plant)]
        tail = [
            format_cell(cell)
            for cell in (
                *subject.scale,
                subject.models,
                subject.digests,
                subject.config_digest,
                subject.package_version,
                subject.created,
                *subject.own,
            )
        ]
        for _, definition_id, value, low, high, quality, flags in traits:
            definition = definitions[definition_id]
            yield (
                *head,
                definition.trait,
                *(format_cell(number) for number in (value, low, high)),
                definition.unit,
                definition.ontology_id,
                definition.ontology_relation,
                definition.ontology_qualifier,
                quality,
                flags,
                *tail,
            )


def _wide_rows(
    chunk: _Chunk, definitions: Mapping[int, StoredTraitDefinition], columns: Sequence[str]
) -> Iterator[Sequence[str | int]]:
    """Yield a row for each plant, and for each plate without plants."""
    positions = {column: len(TRAIT_SUFFIXES) * index for index, column in enumerate(columns)}
    offsets = {key: positions.get(definition.column) for key, definition in definitions.items()}
    for subject, traits in chunk:
        if subject.level == "plate" and not subject.is_empty_plate:
            continue
        cells: list[str | int] = [""] * (len(TRAIT_SUFFIXES) * len(columns))
        for _, definition_id, value, low, high, quality, _flags in traits:
            if (offset := offsets[definition_id]) is not None:
                cells[offset : offset + 4] = (format_cell(value), format_cell(low), format_cell(high), quality)
        head = (*subject.image, subject.plate, subject.plant, subject.flags, *subject.scale, subject.models)
        yield (*(format_cell(cell) for cell in (*head, subject.package_version, *subject.own)), *cells)
