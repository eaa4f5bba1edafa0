"""Measurements: the whole phenotype as compressed JSON, and its values as rows for tables."""

import hashlib
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, Table, insert, select

from thale.errors import UnknownMeasurementError
from thale.experiments.catalogue import get_experiment
from thale.experiments.database import Database
from thale.experiments.models import (
    ExperimentImageRow,
    ExperimentMeasurementRow,
    MeasurementDocument,
    MeasurementRow,
    SubjectRow,
    TraitDefinitionRow,
    TraitRow,
)
from thale.experiments.statements import insert_if_absent
from thale.exports.names import flag_codes
from thale.phenotyping.plates import plate_number, split_plates
from thale.schemas import Flag, Phenotype, TraitValue
from thale.schemas.experiment import (
    ExperimentMeasurement,
    Measurement,
    MeasurementPage,
    MeasurementParameters,
    MeasurementSummary,
)

_COMPRESSION_LEVEL = 6
_SUMMARY = (
    MeasurementRow.id,
    MeasurementRow.sha256,
    MeasurementRow.models,
    MeasurementRow.parameters,
    MeasurementRow.package_version,
    MeasurementRow.created_at,
)
_Definition = tuple[str, str, str, str, str]
_DOCUMENTS, _SUBJECTS, _TRAITS = (cast(Table, table.__table__) for table in (MeasurementDocument, SubjectRow, TraitRow))
"""Tables instead of classes: an insertion by a class takes twice the time, and one of traits four times."""


@dataclass(frozen=True)
class PreparedMeasurement:
    """A measurement that is ready to be stored: its row, its document, and its subjects with their traits."""

    row: Mapping[str, Any]
    body: bytes
    subjects: Sequence[tuple[Mapping[str, Any], Sequence[tuple[_Definition, Mapping[str, Any]]]]]

    @property
    def id(self) -> str:
        """Permanent identifier."""
        return str(self.row["id"])


def prepare_measurement(
    measurement_id: str, phenotype: Phenotype, parameters: MeasurementParameters
) -> PreparedMeasurement:
    """Return a measurement of a phenotype. The name of the image is left out, because it belongs to experiments."""
    unnamed = phenotype.model_copy(update={"image": phenotype.image.model_copy(update={"name": None})})
    document = unnamed.model_dump_json().encode()
    provenance = phenotype.provenance
    row = {
        "id": measurement_id,
        "sha256": phenotype.image.sha256,
        "models": [model.model_dump() for model in provenance.models],
        "config_digest": provenance.config_digest,
        "parameters": parameters.model_dump(),
        "package_version": provenance.package_version,
        "created_at": provenance.created,
        "document_digest": hashlib.sha256(document).hexdigest(),
    }
    return PreparedMeasurement(row, zlib.compress(document, _COMPRESSION_LEVEL), tuple(_subjects(phenotype)))


def save_measurement(connection: Connection, measurement: PreparedMeasurement) -> None:
    """Store a measurement, unless it is stored already. A stored one is never changed."""
    if not insert_if_absent(connection, MeasurementRow, dict(measurement.row)):
        return
    connection.execute(insert(_DOCUMENTS), {"measurement_id": measurement.id, "body": measurement.body})
    definitions = _DefinitionIds(connection)
    subjects = [
        {"measurement_id": measurement.id, "number": number, **subject}
        for number, (subject, _) in enumerate(measurement.subjects)
    ]
    insertion = insert(_SUBJECTS).returning(_SUBJECTS.c.id, sort_by_parameter_order=True)
    subject_ids = connection.execute(insertion, subjects).scalars()
    traits = [
        {"subject_id": subject_id, "number": index, "definition_id": definitions.get(definition), **value}
        for subject_id, (_, values) in zip(subject_ids, measurement.subjects, strict=True)
        for index, (definition, value) in enumerate(values)
    ]
    if traits:
        connection.execute(insert(_TRAITS), traits)


class MeasurementStore:
    """Reads measurements."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, measurement_id: str) -> tuple[Measurement, str]:
        """Return a measurement with its phenotype, and the digest of the phenotype.

        Raises:
            UnknownMeasurementError: If it does not exist.
        """
        found = self.find(measurement_id)
        if found is None:
            raise UnknownMeasurementError(
                f"there is no measurement {measurement_id!r}: it was deleted, or it is of another server"
            )
        return found

    def find(self, measurement_id: str) -> tuple[Measurement, str] | None:
        """Return a measurement with its phenotype, and the digest of the phenotype; or None."""
        statement = (
            select(*_SUMMARY, MeasurementRow.document_digest, MeasurementDocument.body)
            .join(MeasurementDocument, MeasurementDocument.measurement_id == MeasurementRow.id)
            .where(MeasurementRow.id == measurement_id)
        )
        with self._database.read() as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            return None
        # A newer version of thale may have stored further fields.
        phenotype = Phenotype.model_validate_json(zlib.decompress(row.body), extra="ignore")
        summary = MeasurementSummary.model_validate(row._mapping, extra="ignore")
        return Measurement(**dict(summary), phenotype=phenotype), row.document_digest

    def list(self, experiment: str, limit: int, cursor: int) -> MeasurementPage:
        """Return a page of the measurements of an experiment, in the order of their addition.

        Raises:
            UnknownExperimentError: If the experiment does not exist.
        """
        with self._database.read() as connection:
            experiment_id = get_experiment(connection, experiment).id
            rows = connection.execute(
                select(
                    *_SUMMARY,
                    ExperimentImageRow.name.label("image"),
                    ExperimentImageRow.plate,
                    (ExperimentImageRow.measurement_id == MeasurementRow.id).label("is_current"),
                    ExperimentMeasurementRow.number,
                )
                .join(ExperimentMeasurementRow, ExperimentMeasurementRow.measurement_id == MeasurementRow.id)
                .join(
                    ExperimentImageRow,
                    (ExperimentImageRow.experiment_id == ExperimentMeasurementRow.experiment_id)
                    & (ExperimentImageRow.sha256 == MeasurementRow.sha256),
                )
                .where(
                    ExperimentMeasurementRow.experiment_id == experiment_id, ExperimentMeasurementRow.number > cursor
                )
                .order_by(ExperimentMeasurementRow.number)
                .limit(limit + 1)
            ).all()
        page = rows[:limit]
        return MeasurementPage(
            items=tuple(ExperimentMeasurement.model_validate(row._mapping, extra="ignore") for row in page),
            next_cursor=str(page[-1].number) if len(rows) > limit else None,
        )


class _DefinitionIds:
    """Identifiers of trait definitions, which are inserted on first use."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ids: dict[_Definition, int] = {}

    def get(self, definition: _Definition) -> int:
        if definition not in self._ids:
            if not self._ids:
                self._read()
            if definition not in self._ids:
                names = ("trait", "unit", "ontology_id", "ontology_relation", "ontology_qualifier")
                insert_if_absent(self._connection, TraitDefinitionRow, dict(zip(names, definition, strict=True)))
                self._read()
        return self._ids[definition]

    def _read(self) -> None:
        rows = self._connection.execute(
            select(
                TraitDefinitionRow.id,
                TraitDefinitionRow.trait,
                TraitDefinitionRow.unit,
                TraitDefinitionRow.ontology_id,
                TraitDefinitionRow.ontology_relation,
                TraitDefinitionRow.ontology_qualifier,
            )
        )
        self._ids = {(row[1], row[2], row[3], row[4], row[5]): row[0] for row in rows}


def _subjects(
    phenotype: Phenotype,
) -> Iterator[tuple[Mapping[str, Any], Sequence[tuple[_Definition, Mapping[str, Any]]]]]:
    """Yield the rows of the tables of an image: the plants of each plate, then the plate, with flags as in CSV."""
    for part in split_plates(phenotype):
        scale = {
            "plate": plate_number(part),
            "scale_source": part.scale.source,
            "mm_per_px": _known(part.scale.mm_per_px),
            "plate_width_mm": part.scale.plate_width_mm,
        }
        for plant in part.plants:
            flags = (*part.flags, *plant.flags, *(flag for trait in plant.traits for flag in trait.flags))
            subject = {"level": "plant", "plant": plant.id, "flags": flag_codes(flags), **scale}
            yield subject, [(_definition(trait), _value(trait, ())) for trait in plant.traits]
        subject = {"level": "plate", "plant": None, "flags": flag_codes(part.flags), **scale}
        yield subject, [(_definition(trait), _value(trait, part.flags)) for trait in part.traits]


def _definition(trait: TraitValue) -> _Definition:
    return (
        trait.trait,
        trait.unit,
        trait.ontology_id or "",
        trait.ontology_relation or "",
        trait.ontology_qualifier or "",
    )


def _value(trait: TraitValue, flags: tuple[Flag, ...]) -> Mapping[str, Any]:
    low, high = trait.interval if trait.interval is not None else (None, None)
    return {
        "value": _known(trait.value),
        "interval_low": None if low is None else _known(low),
        "interval_high": None if high is None else _known(high),
        "quality": trait.quality,
        "flags": flag_codes((*trait.flags, *flags)),
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
