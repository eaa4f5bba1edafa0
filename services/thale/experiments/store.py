"""The store of experiments: a database and a blob store, opened and migrated once."""

from typing import Self

from thale.errors import ExperimentStoreError
from thale.experiments.address import StoreAddress
from thale.experiments.blobs import ImageBlobs, open_blob_store
from thale.experiments.catalogue import ExperimentCatalogue
from thale.experiments.corrections import CorrectionLog
from thale.experiments.database import Database
from thale.experiments.event_outbox import EventOutbox
from thale.experiments.image_claims import ImageClaims
from thale.experiments.images import ImageStore
from thale.experiments.job_queue import JobQueue
from thale.experiments.measurements import MeasurementStore
from thale.experiments.migrate import migrate


class ExperimentStore:
    """Experiments, images, measurements, corrections and jobs. Its methods block: call them in a thread."""

    def __init__(self, database: Database, blobs: ImageBlobs) -> None:
        self.database = database
        self.experiments = ExperimentCatalogue(database, blobs)
        self.images = ImageStore(database, blobs)
        self.measurements = MeasurementStore(database)
        self.corrections = CorrectionLog(database)
        self.jobs = JobQueue(database)
        self.claims = ImageClaims(database)
        self.outbox = EventOutbox(database)

    @classmethod
    def open(cls, address: StoreAddress) -> Self:
        """Open the store, and create or migrate its schema.

        Raises:
            SchemaVersionError: If a newer version of thale wrote the schema.
            ExperimentStoreError: If the folder or the database cannot be used.
        """
        try:
            address.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ExperimentStoreError(
                f"{address.folder} cannot be created ({error.strerror}): check the permissions of its folder"
            ) from error
        database = Database(address)
        try:
            migrate(database)
            return cls(database, open_blob_store(address.folder, address.blob_url))
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close the connections."""
        self.database.close()
