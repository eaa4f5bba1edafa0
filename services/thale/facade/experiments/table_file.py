"""Tables of experiments as files, written by a worker process: ten thousand images take seconds of CPU time."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO, Literal

from thale.errors import ExperimentStoreError, OverloadedError
from thale.experiments.address import StoreAddress
from thale.facade.deadline import Deadline
from thale.facade.postprocess.types import CSV
from thale.facade.postprocess.worker_pool import WorkerPool

PARQUET = "application/vnd.apache.parquet"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TABLE_TYPES = (CSV, PARQUET, XLSX)
_MEMORY_BYTES = 2 * 2**30
_NICENESS = 5
_MAX_WAITING = 8
_RETRY_AFTER_S = 5


def write_experiment_table(
    address: StoreAddress, experiment: str, form: Literal["long", "wide"], media_type: str, folder: Path
) -> Path:
    """Write a table into a folder. Runs in a worker process.

    Raises:
        UnknownExperimentError: If the experiment does not exist.
        ExperimentStoreError: If the store cannot be used, or the disk is full.
        ParameterError: If a package is missing, or the table is too long for the format.
    """
    from thale.experiments.database import Database
    from thale.experiments.tables import write_table_file
    from thale.exports.table_formats import write_parquet, write_workbook

    database = Database(address)
    source = folder / "table.csv"
    try:
        factors = write_table_file(database, experiment, form, source)
        if media_type == CSV:
            return source
        texts = (*factors, "plate_name", "measurement_id")
        path = folder / "table"
        {PARQUET: write_parquet, XLSX: write_workbook}[media_type](source, path, texts)
        return path
    except OSError as error:
        raise ExperimentStoreError(
            f"the table cannot be written to {folder} ({error.strerror}): free space on its disk, then retry"
        ) from error
    finally:
        database.close()


class TableWriter:
    """Writes one table at a time in a process of its own, which starts with the first table."""

    def __init__(self, address: StoreAddress) -> None:
        self._address = address
        self._pool = WorkerPool(1, _MEMORY_BYTES, _NICENESS)
        self._waiting = 0

    async def write(
        self, experiment: str, form: Literal["long", "wide"], media_type: str, deadline: Deadline
    ) -> BinaryIO:
        """Return a table as an open file, which has no name any more: closing it frees its space.

        Raises:
            OverloadedError: If too many tables wait.
            ThaleError: As `write_experiment_table`.
        """
        if self._waiting >= _MAX_WAITING:
            raise OverloadedError(self._waiting, _RETRY_AFTER_S)
        self._waiting += 1
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="thale-table-"))
        try:
            path = await self._pool.run(
                deadline, write_experiment_table, self._address, experiment, form, media_type, folder
            )
            return await asyncio.to_thread(path.open, "rb")
        finally:
            self._waiting -= 1
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def close(self) -> None:
        """Stop the process."""
        self._pool.close()
