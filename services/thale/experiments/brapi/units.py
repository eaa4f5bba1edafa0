"""Observation units: the plates of an experiment, and the plants that its current measurements have on them."""

from typing import Any

from sqlalchemy import CompoundSelect, Select, Subquery, and_, false, func, select, union

from thale.experiments.brapi.design_facts import ExperimentDesigns, UnitFacts
from thale.experiments.brapi.identifiers import UnitId
from thale.experiments.brapi.pages import BrapiPage, PageRequest, select_page
from thale.experiments.database import Database
from thale.experiments.models import ExperimentImageRow, SubjectRow
from thale.schemas.brapi import (
    BrapiObservationLevel,
    BrapiObservationUnit,
    BrapiTreatment,
    BrapiUnitLevel,
    BrapiUnitPosition,
)

LEVEL_ORDER = {"study": 0, "rep": 1, "plate": 2, "plant": 3}
UNIT_LEVELS = (
    BrapiObservationLevel(levelName="plate", levelOrder=LEVEL_ORDER["plate"]),
    BrapiObservationLevel(levelName="plant", levelOrder=LEVEL_ORDER["plant"]),
)


def first_images(experiment_id: str | None) -> Subquery:
    """Return the number of the first image of each plate, of one experiment or of all."""
    statement = select(
        ExperimentImageRow.experiment_id, ExperimentImageRow.plate, func.min(ExperimentImageRow.number).label("first")
    ).group_by(ExperimentImageRow.experiment_id, ExperimentImageRow.plate)
    if experiment_id is not None:
        statement = statement.where(ExperimentImageRow.experiment_id == experiment_id)
    return statement.subquery("first_images")


def list_units(
    database: Database, request: PageRequest, *, study: str | None, unit: str | None, level: str | None
) -> BrapiPage[BrapiObservationUnit]:
    """Return a page of observation units, plate by plate.

    Args:
        database: The database.
        request: The page.
        study: Identifier of the experiment, or None for all.
        unit: Identifier of the unit, or None for all.
        level: `plate`, `plant`, or None for both.
    """
    parsed = None if unit is None else UnitId.parse(unit)
    units = _all_units(study if parsed is None else parsed.experiment).subquery("units")
    columns = units.c
    names = and_(ExperimentImageRow.experiment_id == columns.experiment_id, ExperimentImageRow.number == columns.first)
    statement: Select[Any] = select(units, ExperimentImageRow.name, ExperimentImageRow.plate.label("plate_name")).join(
        ExperimentImageRow, names
    )
    conditions = []
    if study is not None:
        conditions.append(columns.experiment_id == study)
    if unit is not None:
        conditions.append(false() if parsed is None else _is_unit(columns, parsed))
    if level is not None:
        conditions.append(columns.plant > 0 if level == "plant" else columns.plant == 0)
    statement = statement.where(*conditions)
    counted = select(units.c.first).where(*conditions)
    ordered = statement.order_by(columns.experiment_id, columns.first, columns.plate_number, columns.plant)
    with database.read() as connection:
        rows, total = select_page(connection, ordered, counted, request)
        designs = ExperimentDesigns(connection)
        return BrapiPage(tuple(_unit(row, designs) for row in rows), total)


def _all_units(experiment_id: str | None) -> CompoundSelect[Any]:
    """Return each plate, and each plate and plant of the current measurements of its images."""
    plates = first_images(experiment_id)
    plate = func.coalesce(SubjectRow.plate, 0).label("plate_number")
    plant = func.coalesce(SubjectRow.plant, 0).label("plant")
    same_plate = and_(
        ExperimentImageRow.experiment_id == plates.c.experiment_id, ExperimentImageRow.plate == plates.c.plate
    )
    measured = (
        select(plates.c.experiment_id, plates.c.first, plate, plant)
        .join(ExperimentImageRow, same_plate)
        .join(SubjectRow, SubjectRow.measurement_id == ExperimentImageRow.measurement_id)
    )
    photographed = select(
        plates.c.experiment_id,
        plates.c.first,
        (plates.c.first * 0).label("plate_number"),
        (plates.c.first * 0).label("plant"),
    )
    return union(photographed, measured)


def _is_unit(columns: Any, unit: UnitId) -> Any:
    return and_(
        columns.experiment_id == unit.experiment,
        columns.first == unit.first_image,
        columns.plate_number == unit.plate,
        columns.plant == unit.plant,
    )


def _unit(row: Any, designs: ExperimentDesigns) -> BrapiObservationUnit:
    found = UnitId(row.experiment_id, row.first, row.plate_number, row.plant)
    facts = designs.facts(found.experiment, row.name, row.plate_name, found.plant or None)
    return BrapiObservationUnit(
        observationUnitDbId=str(found),
        observationUnitName=unit_name(row.plate_name, found),
        studyDbId=found.experiment,
        studyName=designs.name(found.experiment),
        germplasmName=facts.genotype,
        observationUnitPosition=_position(found, row.plate_name, facts),
        treatments=tuple(BrapiTreatment(factor=factor, modality=level) for factor, level in facts.treatments),
    )


def unit_name(plate_name: str, unit: UnitId) -> str:
    """Return the name of a unit, such as `p1`, or `p1 plant 2`."""
    parts = [plate_name]
    if unit.plate:
        parts.append(f"plate {unit.plate}")
    if unit.plant:
        parts.append(f"plant {unit.plant}")
    return " ".join(parts)


def _position(unit: UnitId, plate_name: str, facts: UnitFacts) -> BrapiUnitPosition:
    plate = UnitId(unit.experiment, unit.first_image, unit.plate)
    above = [BrapiUnitLevel(levelName="study", levelOrder=LEVEL_ORDER["study"], levelCode=unit.experiment)]
    if facts.replicate is not None:
        above.append(BrapiUnitLevel(levelName="rep", levelOrder=LEVEL_ORDER["rep"], levelCode=facts.replicate))
    plate_level = BrapiUnitLevel(
        levelName="plate",
        levelOrder=LEVEL_ORDER["plate"],
        levelCode=unit_name(plate_name, plate),
        observationUnitDbId=str(plate),
    )
    if not unit.plant:
        return BrapiUnitPosition(observationLevel=plate_level, observationLevelRelationships=tuple(above))
    plant_level = BrapiUnitLevel(
        levelName="plant",
        levelOrder=LEVEL_ORDER["plant"],
        levelCode=str(unit.plant),
        observationUnitDbId=str(unit),
    )
    return BrapiUnitPosition(observationLevel=plant_level, observationLevelRelationships=(*above, plate_level))
