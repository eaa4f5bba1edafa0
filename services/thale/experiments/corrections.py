"""Corrections of measurements by people: rows of their own. The measurement is never changed."""

from sqlalchemy import Connection, insert, select

from thale.errors import ParameterError, UnknownMeasurementError
from thale.experiments.database import Database
from thale.experiments.models import CorrectionRow, MeasurementRow
from thale.experiments.statements import utc_now
from thale.schemas.experiment import Correction, CorrectionList, CorrectionRequest

_MAX_CORRECTIONS = 100
"""Maximum number of corrections of one measurement."""
_COLUMNS = (
    CorrectionRow.id,
    CorrectionRow.measurement_id,
    CorrectionRow.created_at,
    CorrectionRow.created_by,
    CorrectionRow.reason,
    CorrectionRow.plants,
)


class CorrectionLog:
    """Adds and lists corrections."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, measurement_id: str, request: CorrectionRequest, created_by: str) -> Correction:
        """Record a correction.

        Raises:
            UnknownMeasurementError: If the measurement does not exist.
            ParameterError: If a plant is repeated, or the measurement has too many corrections.
        """
        plants = [plant.id for plant in request.plants]
        if len(set(plants)) < len(plants):
            raise ParameterError(f"the correction has the plants {plants[:20]}: send each one once")
        with self._database.write() as connection:
            _require_measurement(connection, measurement_id)
            if len(_list(connection, measurement_id)) >= _MAX_CORRECTIONS:
                raise ParameterError(f"the measurement has {_MAX_CORRECTIONS} corrections: it cannot have more")
            row = {
                "measurement_id": measurement_id,
                "created_at": utc_now(),
                "created_by": created_by,
                "reason": request.reason,
                "plants": [plant.model_dump(mode="json") for plant in request.plants],
            }
            correction_id = connection.execute(insert(CorrectionRow).values(**row).returning(CorrectionRow.id))
            return Correction.model_validate({"id": correction_id.scalar_one(), **row})

    def list(self, measurement_id: str) -> CorrectionList:
        """Return the corrections of a measurement, the oldest first.

        Raises:
            UnknownMeasurementError: If the measurement does not exist.
        """
        with self._database.read() as connection:
            _require_measurement(connection, measurement_id)
            return CorrectionList(items=tuple(_list(connection, measurement_id)))


def _list(connection: Connection, measurement_id: str) -> list[Correction]:
    rows = connection.execute(
        select(*_COLUMNS).where(CorrectionRow.measurement_id == measurement_id).order_by(CorrectionRow.id)
    )
    return [Correction.model_validate(row._mapping) for row in rows]


def _require_measurement(connection: Connection, measurement_id: str) -> None:
    found = select(MeasurementRow.id).where(MeasurementRow.id == measurement_id)
    if connection.execute(found).one_or_none() is None:
        raise UnknownMeasurementError(
            f"there is no measurement {measurement_id!r}: it was deleted, or it is of another server"
        )
