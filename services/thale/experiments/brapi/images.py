"""Images: the photographs of the experiments."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, false, select

from thale.experiments.brapi.identifiers import ImageId, UnitId
from thale.experiments.brapi.pages import BrapiPage, PageRequest, select_page
from thale.experiments.brapi.photograph_time import photograph_time
from thale.experiments.brapi.units import first_images
from thale.experiments.database import Database
from thale.experiments.models import ExperimentImageRow, ImageRow
from thale.schemas.brapi import BrapiImage

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "TIFF": "image/tiff", "HEIC": "image/heic"}
_UNKNOWN_TYPE = "image/*"


def list_images(
    database: Database,
    request: PageRequest,
    base_url: str,
    *,
    image: str | None,
    name: str | None,
    unit: str | None,
) -> BrapiPage[BrapiImage]:
    """Return a page of images in the order of their addition.

    Args:
        database: The database.
        request: The page.
        base_url: Address of the images of this server, without a slash at its end.
        image: Identifier of the image, or None for all.
        name: File name of the image, or None for all.
        unit: Identifier of the photographed plate, or None for all.
    """
    columns: tuple[Any, ...] = (
        ExperimentImageRow.experiment_id,
        ExperimentImageRow.number,
        ExperimentImageRow.name,
        ExperimentImageRow.plate,
        ExperimentImageRow.measurement_id,
        ImageRow.sha256,
        ImageRow.size_bytes,
        ImageRow.width,
        ImageRow.height,
        ImageRow.format,
    )
    statement: Select[Any] = select(*columns).join(ImageRow, ImageRow.sha256 == ExperimentImageRow.sha256)
    with database.read() as connection:
        conditions: list[ColumnElement[bool]] = []
        if image is not None:
            conditions.append(_is_image(ImageId.parse(image)))
        if name is not None:
            conditions.append(ExperimentImageRow.name == name)
        if unit is not None:
            conditions.append(_shows_unit(connection, UnitId.parse(unit)))
        counted = select(ExperimentImageRow.number).where(*conditions)
        ordered = statement.where(*conditions).order_by(ExperimentImageRow.experiment_id, ExperimentImageRow.number)
        rows, total = select_page(connection, ordered, counted, request)
        return BrapiPage(_images_of(connection, rows, base_url), total)


def find_image(database: Database, image: str) -> str | None:
    """Return the digest of an image, or None without an image of this identifier."""
    statement = select(ExperimentImageRow.sha256).where(_is_image(ImageId.parse(image)))
    with database.read() as connection:
        return connection.execute(statement).scalar_one_or_none()


def _is_image(image: ImageId | None) -> ColumnElement[bool]:
    if image is None:
        return false()
    return and_(ExperimentImageRow.experiment_id == image.experiment, ExperimentImageRow.number == image.number)


def _shows_unit(connection: Connection, unit: UnitId | None) -> ColumnElement[bool]:
    if unit is None:
        return false()
    plates = first_images(unit.experiment)
    plate = connection.execute(select(plates.c.plate).where(plates.c.first == unit.first_image)).scalar_one_or_none()
    if plate is None:
        return false()
    return and_(ExperimentImageRow.experiment_id == unit.experiment, ExperimentImageRow.plate == plate)


def _images_of(connection: Connection, rows: Any, base_url: str) -> tuple[BrapiImage, ...]:
    first: dict[tuple[str, str], int] = {}
    for experiment_id in {row.experiment_id for row in rows}:
        plates = first_images(experiment_id)
        found = connection.execute(select(plates.c.plate, plates.c.first))
        first.update({(experiment_id, plate): number for plate, number in found})
    return tuple(_image(row, first[row.experiment_id, row.plate], base_url) for row in rows)


def _image(row: Any, first_image: int, base_url: str) -> BrapiImage:
    found = ImageId(row.experiment_id, row.number)
    time, note = photograph_time(row.name)
    info = {"studyDbId": row.experiment_id, "sha256": row.sha256, "measurementId": row.measurement_id, **note}
    return BrapiImage(
        imageDbId=str(found),
        imageName=row.name,
        imageFileName=row.name,
        imageFileSize=row.size_bytes,
        imageWidth=row.width,
        imageHeight=row.height,
        mimeType=MEDIA_TYPES.get(row.format, _UNKNOWN_TYPE),
        imageURL=f"{base_url}/{found}/imagecontent",
        imageTimeStamp=time,
        observationUnitDbId=str(UnitId(row.experiment_id, first_image)),
        additionalInfo={key: value for key, value in info.items() if value},
    )
