"""Observations: the values of the current measurements of an experiment."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, false, select

from thale.experiments.brapi.design_facts import ExperimentDesigns
from thale.experiments.brapi.identifiers import ImageId, ObservationId, UnitId
from thale.experiments.brapi.pages import BrapiPage, PageRequest, select_page
from thale.experiments.brapi.photograph_time import photograph_time
from thale.experiments.brapi.units import first_images, unit_name
from thale.experiments.brapi.variables import definition_ids
from thale.experiments.database import Database
from thale.experiments.models import ExperimentImageRow, MeasurementRow, SubjectRow, TraitRow
from thale.experiments.trait_definitions import StoredTraitDefinition, read_definitions
from thale.schemas.brapi import BrapiObservation


def list_observations(
    database: Database,
    request: PageRequest,
    *,
    study: str | None,
    unit: str | None,
    variable: str | None,
    level: str | None,
    observation: str | None,
) -> BrapiPage[BrapiObservation]:
    """Return a page of observations, image by image.

    Args:
        database: The database.
        request: The page.
        study: Identifier of the experiment, or None for all.
        unit: Identifier of the observation unit, or None for all.
        variable: Identifier of the variable, or None for all.
        level: `plate`, `plant`, or None for both.
        observation: Identifier of the observation, or None for all.
    """
    unit_id = None if unit is None else UnitId.parse(unit)
    observation_id = None if observation is None else ObservationId.parse(observation)
    conditions: list[ColumnElement[bool]] = []
    with database.read() as connection:
        definitions = read_definitions(connection)
        if study is not None:
            conditions.append(ExperimentImageRow.experiment_id == study)
        if unit is not None:
            conditions += _of_unit(connection, unit_id)
        if variable is not None:
            conditions.append(TraitRow.definition_id.in_(definition_ids(definitions, variable)))
        if level is not None:
            conditions.append(SubjectRow.level == level)
        if observation is not None:
            conditions.append(false() if observation_id is None else _is_observation(observation_id))
        counted = _joined(select(TraitRow.number)).where(*conditions)
        rows, total = select_page(connection, _observations().where(*conditions), counted, request)
        return BrapiPage(_observations_of(connection, rows, definitions), total)


def _joined(statement: Select[Any]) -> Select[Any]:
    return (
        statement.select_from(ExperimentImageRow)
        .join(SubjectRow, SubjectRow.measurement_id == ExperimentImageRow.measurement_id)
        .join(TraitRow, TraitRow.subject_id == SubjectRow.id)
    )


def _observations() -> Select[Any]:
    columns = (
        ExperimentImageRow.experiment_id,
        ExperimentImageRow.number.label("image_number"),
        ExperimentImageRow.sha256,
        ExperimentImageRow.name,
        ExperimentImageRow.plate.label("plate_name"),
        SubjectRow.measurement_id,
        SubjectRow.number.label("subject_number"),
        SubjectRow.plate.label("plate_number"),
        SubjectRow.plant,
        TraitRow.number.label("trait_number"),
        TraitRow.definition_id,
        TraitRow.value,
        TraitRow.interval_low,
        TraitRow.interval_high,
        TraitRow.quality,
        TraitRow.flags,
        MeasurementRow.models,
        MeasurementRow.package_version,
        MeasurementRow.created_at,
    )
    return (
        _joined(select(*columns))
        .join(MeasurementRow, MeasurementRow.id == SubjectRow.measurement_id)
        .order_by(ExperimentImageRow.experiment_id, ExperimentImageRow.number, SubjectRow.number, TraitRow.number)
    )


def _of_unit(connection: Connection, unit: UnitId | None) -> list[ColumnElement[bool]]:
    if unit is None:
        return [false()]
    plates = first_images(unit.experiment)
    plate = connection.execute(select(plates.c.plate).where(plates.c.first == unit.first_image)).scalar_one_or_none()
    if plate is None:
        return [false()]
    return [
        ExperimentImageRow.experiment_id == unit.experiment,
        ExperimentImageRow.plate == plate,
        SubjectRow.plate.is_(None) if unit.plate == 0 else SubjectRow.plate == unit.plate,
        SubjectRow.plant.is_(None) if unit.plant == 0 else SubjectRow.plant == unit.plant,
    ]


def _is_observation(observation: ObservationId) -> ColumnElement[bool]:
    return and_(
        ExperimentImageRow.experiment_id == observation.experiment,
        ExperimentImageRow.measurement_id == observation.measurement,
        SubjectRow.number == observation.subject,
        TraitRow.number == observation.trait,
    )


def _observations_of(
    connection: Connection, rows: Sequence[Any], definitions: Mapping[int, StoredTraitDefinition]
) -> tuple[BrapiObservation, ...]:
    designs = ExperimentDesigns(connection)
    first: dict[tuple[str, str], int] = {}
    for experiment_id in {row.experiment_id for row in rows}:
        plates = first_images(experiment_id)
        names = {row.plate_name for row in rows if row.experiment_id == experiment_id}
        found = connection.execute(select(plates.c.plate, plates.c.first).where(plates.c.plate.in_(names)))
        first.update({(experiment_id, plate): number for plate, number in found})
    return tuple(
        _observation(row, first[row.experiment_id, row.plate_name], definitions[row.definition_id], designs)
        for row in rows
    )


def _observation(
    row: Any, first_image: int, definition: StoredTraitDefinition, designs: ExperimentDesigns
) -> BrapiObservation:
    unit = UnitId(row.experiment_id, first_image, row.plate_number or 0, row.plant or 0)
    facts = designs.facts(row.experiment_id, row.name, row.plate_name, row.plant)
    time, note = photograph_time(row.name)
    info = {
        "quality": row.quality,
        "flags": row.flags,
        "intervalLow": _number(row.interval_low),
        "intervalHigh": _number(row.interval_high),
        "measurementId": row.measurement_id,
        "measuredAt": row.created_at,
        "models": ";".join(f"{model['name']}@{model['version']}" for model in row.models),
        "image": row.name,
        "imageDbId": str(ImageId(row.experiment_id, row.image_number)),
        "imageSha256": row.sha256,
        **note,
    }
    return BrapiObservation(
        observationDbId=str(ObservationId(row.experiment_id, row.measurement_id, row.subject_number, row.trait_number)),
        observationUnitDbId=str(unit),
        observationUnitName=unit_name(row.plate_name, unit),
        observationVariableDbId=definition.column,
        observationVariableName=definition.column,
        studyDbId=row.experiment_id,
        germplasmName=facts.genotype,
        observationTimeStamp=time,
        value=_number(row.value),
        collector=f"thale {row.package_version}",
        additionalInfo={key: value for key, value in info.items() if value},
    )


def _number(value: float | None) -> str | None:
    return None if value is None else repr(value)
