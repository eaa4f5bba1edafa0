"""Images of experiments: the bytes once by digest, and the name and plate of each image in each experiment."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from thale.errors import UnknownImageError
from thale.experiments.blobs import ImageBlobs
from thale.experiments.catalogue import get_experiment, lock_experiment
from thale.experiments.database import Database
from thale.experiments.measurements import PreparedMeasurement, save_measurement
from thale.experiments.models import ExperimentImageRow, ExperimentMeasurementRow, ImageRow
from thale.experiments.statements import insert_if_absent, utc_now
from thale.schemas import ImageMetadata
from thale.schemas.experiment import ExperimentImage, ExperimentImagePage

_DIGESTS_AT_A_TIME = 500
_COLUMNS = (
    ExperimentImageRow.sha256,
    ExperimentImageRow.name,
    ExperimentImageRow.plate,
    ExperimentImageRow.added_at,
    ExperimentImageRow.measurement_id,
)


@dataclass(frozen=True)
class NewImage:
    """An image to add to an experiment."""

    metadata: ImageMetadata
    data: bytes
    name: str
    plate: str


@dataclass(frozen=True)
class StoredImage:
    """The bytes of an image of an experiment, with its name there and its format, such as JPEG."""

    name: str
    format: str
    data: bytes


class ImageStore:
    """Adds, lists and reads images."""

    def __init__(self, database: Database, blobs: ImageBlobs) -> None:
        self._database = database
        self._blobs = blobs

    def add(
        self, experiment: str, image: NewImage, measurement: PreparedMeasurement | None
    ) -> tuple[ExperimentImage, bool]:
        """Add an image to an experiment, with its measurement. Return it, and True if it is new there.

        The bytes are stored before the rows, so that each row has its bytes, also after a kill or a power cut. An image
        that the experiment contains keeps its name and its plate, and gets the measurement as the current one.

        Raises:
            UnknownExperimentError: If the experiment does not exist.
            ExperimentStoreError: If the store cannot be used. The experiment is then unchanged.
        """
        sha256 = image.metadata.sha256
        self._blobs.put(sha256, image.data)
        with self._database.write() as connection:
            experiment_id = lock_experiment(connection, experiment)
            _insert_image(connection, image.metadata)
            is_new = _insert_experiment_image(connection, experiment_id, image)
            # A deletion of another experiment may have removed the bytes since, also one that then failed and left the
            # row of the image. From here on, the new row protects them.
            self._blobs.put(sha256, image.data)
            if measurement is not None:
                save_measurement(connection, measurement)
                set_current_measurement(connection, experiment_id, sha256, measurement.id)
            return _get_image(connection, experiment_id, sha256), is_new

    def set_measurement(self, experiment: str, sha256: str, measurement: PreparedMeasurement) -> None:
        """Store a measurement of an image of an experiment as its current one.

        Raises:
            UnknownExperimentError, UnknownImageError: If the experiment or the image was deleted.
        """
        with self._database.write() as connection:
            experiment_id = lock_experiment(connection, experiment)
            _get_image(connection, experiment_id, sha256)
            save_measurement(connection, measurement)
            set_current_measurement(connection, experiment_id, sha256, measurement.id)

    def get(self, experiment: str, sha256: str) -> ExperimentImage:
        """Return an image of an experiment.

        Raises:
            UnknownExperimentError, UnknownImageError: If one of them does not exist.
        """
        with self._database.read() as connection:
            return _get_image(connection, get_experiment(connection, experiment).id, sha256)

    def read(self, sha256: str) -> bytes:
        """Return the bytes of an image.

        Raises:
            ExperimentStoreError: If they cannot be read.
        """
        return self._blobs.get(sha256)

    def read_of(self, experiment: str, sha256: str) -> StoredImage:
        """Return an image of an experiment with its bytes.

        Raises:
            UnknownExperimentError, UnknownImageError: If one of them does not exist.
            ExperimentStoreError: If the bytes cannot be read.
        """
        with self._database.read() as connection:
            found = _get_image(connection, get_experiment(connection, experiment).id, sha256)
            query = select(ImageRow.format).where(ImageRow.sha256 == sha256)
            image_format = connection.execute(query).scalar_one()
        return StoredImage(found.name, image_format, self._blobs.get(sha256))

    def list(self, experiment: str, limit: int, cursor: int) -> ExperimentImagePage:
        """Return a page of the images of an experiment, in the order of their addition.

        Raises:
            UnknownExperimentError: If the experiment does not exist.
        """
        with self._database.read() as connection:
            experiment_id = get_experiment(connection, experiment).id
            rows = connection.execute(
                select(*_COLUMNS, ExperimentImageRow.number)
                .where(ExperimentImageRow.experiment_id == experiment_id, ExperimentImageRow.number > cursor)
                .order_by(ExperimentImageRow.number)
                .limit(limit + 1)
            ).all()
        page = rows[:limit]
        return ExperimentImagePage(
            items=tuple(ExperimentImage.model_validate(row._mapping, extra="ignore") for row in page),
            next_cursor=str(page[-1].number) if len(rows) > limit else None,
        )

    def find(self, experiment: str, digests: Sequence[str]) -> Iterable[ExperimentImage]:
        """Return those images of an experiment that have one of the digests.

        Raises:
            UnknownExperimentError: If the experiment does not exist.
        """
        found: list[ExperimentImage] = []
        with self._database.read() as connection:
            experiment_id = get_experiment(connection, experiment).id
            for start in range(0, len(digests), _DIGESTS_AT_A_TIME):
                rows = connection.execute(
                    select(*_COLUMNS).where(
                        ExperimentImageRow.experiment_id == experiment_id,
                        ExperimentImageRow.sha256.in_(digests[start : start + _DIGESTS_AT_A_TIME]),
                    )
                )
                found += (ExperimentImage.model_validate(row._mapping) for row in rows)
        return found


def _insert_image(connection: Connection, metadata: ImageMetadata) -> None:
    row = {
        "sha256": metadata.sha256,
        "size_bytes": metadata.size_bytes,
        "width": metadata.width,
        "height": metadata.height,
        "format": metadata.format,
        "created_at": utc_now(),
    }
    insert_if_absent(connection, ImageRow, row)


def _insert_experiment_image(connection: Connection, experiment_id: str, image: NewImage) -> bool:
    last = select(func.coalesce(func.max(ExperimentImageRow.number), 0)).where(
        ExperimentImageRow.experiment_id == experiment_id
    )
    row = {
        "experiment_id": experiment_id,
        "sha256": image.metadata.sha256,
        "number": connection.execute(last).scalar_one() + 1,
        "name": image.name,
        "plate": image.plate,
        "added_at": utc_now(),
        "measurement_id": None,
    }
    return insert_if_absent(connection, ExperimentImageRow, row)


def set_current_measurement(connection: Connection, experiment_id: str, sha256: str, measurement_id: str) -> None:
    """Make a stored measurement the current one of an image of an experiment."""
    connection.execute(
        update(ExperimentImageRow)
        .where(ExperimentImageRow.experiment_id == experiment_id, ExperimentImageRow.sha256 == sha256)
        .values(measurement_id=measurement_id)
    )
    last = select(func.coalesce(func.max(ExperimentMeasurementRow.number), 0)).where(
        ExperimentMeasurementRow.experiment_id == experiment_id
    )
    row = {
        "experiment_id": experiment_id,
        "measurement_id": measurement_id,
        "number": connection.execute(last).scalar_one() + 1,
        "added_at": utc_now(),
    }
    insert_if_absent(connection, ExperimentMeasurementRow, row)


def _get_image(connection: Connection, experiment_id: str, sha256: str) -> ExperimentImage:
    row = connection.execute(
        select(*_COLUMNS).where(ExperimentImageRow.experiment_id == experiment_id, ExperimentImageRow.sha256 == sha256)
    ).one_or_none()
    if row is None:
        raise UnknownImageError(f"the experiment has no image with the digest {sha256}: add the image first")
    return ExperimentImage.model_validate(row._mapping)
