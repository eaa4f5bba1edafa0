"""Studies: the experiments."""

from collections.abc import Mapping

from sqlalchemy import func, select

from thale.experiments.brapi.pages import BrapiPage, PageRequest
from thale.experiments.brapi.units import UNIT_LEVELS
from thale.experiments.catalogue import get_experiment
from thale.experiments.database import Database
from thale.experiments.models import ExperimentRow
from thale.schemas.brapi import BrapiStudy
from thale.schemas.experiment import Experiment

STUDY_TYPE = "Phenotyping"


def list_studies(
    database: Database, request: PageRequest, *, study: str | None, name: str | None
) -> BrapiPage[BrapiStudy]:
    """Return a page of studies, the oldest first.

    Args:
        database: The database.
        request: The page.
        study: Identifier of the experiment, or None for all.
        name: Name of the experiment, or None for all.
    """
    ids = select(ExperimentRow.id).order_by(ExperimentRow.created_at, ExperimentRow.id)
    if study is not None:
        ids = ids.where(ExperimentRow.id == study)
    if name is not None:
        ids = ids.where(ExperimentRow.name == name)
    with database.read() as connection:
        total = connection.execute(select(func.count()).select_from(ids.subquery())).scalar_one()
        page = ids.limit(request.size).offset(request.page * request.size)
        found = connection.execute(page).scalars().all()
        return BrapiPage(tuple(_study(get_experiment(connection, key)) for key in found), total)


def _study(experiment: Experiment) -> BrapiStudy:
    info: Mapping[str, str] = {
        "images": str(experiment.images),
        "measuredImages": str(experiment.measured),
        "createdAt": experiment.created_at,
        "createdBy": experiment.created_by,
        "designColumns": ", ".join(experiment.design_columns),
    }
    return BrapiStudy(
        studyDbId=experiment.id,
        studyName=experiment.name,
        studyDescription=experiment.description or None,
        studyType=STUDY_TYPE,
        observationLevels=UNIT_LEVELS,
        additionalInfo={key: value for key, value in info.items() if value},
    )
