"""Tables of a run as Excel workbooks and Parquet files, converted from their CSV files."""

from collections.abc import Collection
from pathlib import Path

from thale.batch.result_index import WRITE_FAILURE
from thale.exports.table_formats import write_parquet, write_workbook
from thale.host.files import access_errors, replace_atomically

_TABLES = ("traits", "traits_wide")
_WRITERS = {"xlsx": write_workbook, "parquet": write_parquet}


def convert_tables(folder: Path, formats: Collection[str]) -> list[str]:
    """Write the CSV tables of a folder as "xlsx" or "parquet" too, and return the names of the written files.

    Raises:
        ParameterError: If a package of the extra `tables` is missing, or if a table is too long for a sheet.
        FileAccessError: If a file cannot be written.
    """
    written = []
    with access_errors(WRITE_FAILURE):
        for table in _TABLES:
            for table_format, write in _WRITERS.items():
                if table_format in formats:
                    name = f"{table}.{table_format}"
                    with replace_atomically(folder / name) as partial:
                        write(folder / f"{table}.csv", partial)
                    written.append(name)
    return written
