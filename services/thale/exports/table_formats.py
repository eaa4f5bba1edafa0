"""CSV tables as Excel workbooks and Parquet files.

Both formats have types: a number stays a number, and a text is never a formula. The packages are in the extra `tables`.
"""

import csv
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from thale.errors import ParameterError

TEXT_COLUMNS = frozenset(
    {
        *("image", "sha256", "level", "trait", "unit", "quality", "flags", "scale_source"),
        *("ontology_id", "ontology_relation", "ontology_qualifier"),
        *("models", "model_digests", "config_digest", "package_version", "created"),
    }
)
"""Columns of texts, in addition to those that end in `_quality`."""
_MAX_SHEET_ROWS = 2**20
Cell = str | float | None


def write_workbook(source: Path, path: Path, text_columns: Collection[str] = ()) -> None:
    """Write a CSV table as a workbook.

    Args:
        source: The CSV file.
        path: The workbook.
        text_columns: Columns of texts, in addition to `TEXT_COLUMNS`.

    Raises:
        ParameterError: If a package of the extra `tables` is missing, or if the table is too long for a sheet.
        OSError: If the workbook cannot be written.
    """
    try:
        import xlsxwriter
    except ImportError as error:
        raise _missing_package_error("xlsx") from error
    # Constant memory: rows are written to the disk one by one.
    workbook = xlsxwriter.Workbook(str(path), {"constant_memory": True, "strings_to_formulas": False})
    sheet = workbook.add_worksheet("traits")
    for number, row in enumerate(_read_rows(source, text_columns)):
        if number >= _MAX_SHEET_ROWS:
            raise ParameterError(f"{source.name} has more than {_MAX_SHEET_ROWS} rows, too many for xlsx: use parquet")
        for column, cell in enumerate(row):
            if isinstance(cell, str):
                sheet.write_string(number, column, cell)
            elif cell is not None:
                sheet.write_number(number, column, cell)
    workbook.close()


def write_parquet(source: Path, path: Path, text_columns: Collection[str] = ()) -> None:
    """Write a CSV table as Parquet. Arguments and errors are those of `write_workbook`."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise _missing_package_error("parquet") from error
    rows = _read_rows(source, text_columns)
    names = [str(name) for name in next(rows)]
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    arrays = [
        pyarrow.array(cells, pyarrow.string() if _is_text(name, text_columns) else pyarrow.float64())
        for name, cells in zip(names, columns, strict=True)
    ]
    parquet.write_table(pyarrow.table(arrays, names=names), path)


def _read_rows(source: Path, text_columns: Collection[str]) -> Iterator[Sequence[Cell]]:
    """Yield the header and the rows of a table: texts, numbers, and None for an unknown value."""
    with source.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        yield header
        are_texts = [_is_text(name, text_columns) for name in header]
        for row in reader:
            yield [_parse_cell(is_text, text) for is_text, text in zip(are_texts, row, strict=True)]


def _parse_cell(is_text: bool, text: str) -> Cell:
    if is_text:
        # The apostrophe of a CSV table guards against formulas, which a typed cell cannot be.
        return (text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@", "\t") else text) or None
    return float(text) if text else None


def _is_text(column: str, text_columns: Collection[str]) -> bool:
    return column in TEXT_COLUMNS or column in text_columns or column.endswith("_quality")


def _missing_package_error(table_format: str) -> ParameterError:
    return ParameterError(f"the format {table_format} needs further packages: pip install 'thale[tables]'")
