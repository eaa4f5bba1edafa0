"""Tables of a run as Excel workbooks and Parquet files, converted from their CSV files.

Both formats have types: a number stays a number, and a text is never a formula. The packages are in the extra `tables`.
"""

import csv
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from thale.batch.result_index import WRITE_FAILURE
from thale.errors import ParameterError
from thale.host.files import access_errors, replace_atomically

_TABLES = ("traits", "traits_wide")
_TEXT_COLUMNS = frozenset(
    {
        *("image", "sha256", "level", "trait", "unit", "quality", "flags", "scale_source"),
        *("ontology_id", "ontology_relation", "ontology_qualifier"),
        *("models", "model_digests", "config_digest", "package_version", "created"),
    }
)
_MAX_SHEET_ROWS = 2**20
Cell = str | float | None


def convert_tables(folder: Path, formats: Collection[str]) -> list[str]:
    """Write the CSV tables of a folder as "xlsx" or "parquet" too, and return the names of the written files.

    Raises:
        ParameterError: If a package of the extra `tables` is missing, or if a table is too long for a sheet.
        FileAccessError: If a file cannot be written.
    """
    written = []
    with access_errors(WRITE_FAILURE):
        for table in _TABLES:
            source = folder / f"{table}.csv"
            if "xlsx" in formats:
                _write_workbook(source, folder / f"{table}.xlsx")
                written.append(f"{table}.xlsx")
            if "parquet" in formats:
                _write_parquet(source, folder / f"{table}.parquet")
                written.append(f"{table}.parquet")
    return written


def _write_workbook(source: Path, path: Path) -> None:
    try:
        import xlsxwriter
    except ImportError as error:
        raise _missing_package_error("xlsx") from error
    with replace_atomically(path) as partial:
        # Constant memory: rows are written to the disk one by one.
        workbook = xlsxwriter.Workbook(str(partial), {"constant_memory": True, "strings_to_formulas": False})
        sheet = workbook.add_worksheet("traits")
        for number, row in enumerate(_read_rows(source)):
            if number >= _MAX_SHEET_ROWS:
                raise ParameterError(f"{source} has more than {_MAX_SHEET_ROWS} rows, too many for xlsx: use parquet")
            for column, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(number, column, cell)
                elif cell is not None:
                    sheet.write_number(number, column, cell)
        workbook.close()


def _write_parquet(source: Path, path: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise _missing_package_error("parquet") from error
    rows = _read_rows(source)
    names = [str(name) for name in next(rows)]
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    arrays = [
        pyarrow.array(cells, pyarrow.string() if _is_text(name) else pyarrow.float64())
        for name, cells in zip(names, columns, strict=True)
    ]
    with replace_atomically(path) as partial:
        parquet.write_table(pyarrow.table(arrays, names=names), partial)


def _read_rows(source: Path) -> Iterator[Sequence[Cell]]:
    """Yield the header and the rows of a table: texts, numbers, and None for an unknown value."""
    with source.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        yield header
        for row in reader:
            yield [_parse_cell(name, text) for name, text in zip(header, row, strict=True)]


def _parse_cell(name: str, text: str) -> Cell:
    if _is_text(name):
        # The apostrophe of a CSV table guards against formulas, which a typed cell cannot be.
        return (text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@", "\t") else text) or None
    return float(text) if text else None


def _is_text(column: str) -> bool:
    return column in _TEXT_COLUMNS or column.endswith("_quality")


def _missing_package_error(table_format: str) -> ParameterError:
    return ParameterError(f"--format {table_format} needs further packages: pip install 'thale[tables]'")
