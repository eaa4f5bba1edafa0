"""Design table of an experiment: parsed from CSV or JSON, checked, and matched with images and plants.

The columns `image`, `plate` and `plant` identify a row. Each other column is a factor, such as genotype or treatment. A
table has at least one of `image` and `plate`; with `plant`, each plant of a plate has a row of its own.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from thale.errors import DesignTableError
from thale.series.plates import strip_suffix

MAX_ROWS = 100_000
MAX_COLUMNS = 64
MAX_NAME_LENGTH = 100
MAX_CELL_LENGTH = 1_000
KEYS = ("image", "plate", "plant")
_OWN_COLUMNS = ("plate_name", "measurement_id", "corrections")
_Key = tuple[str | None, str | None, int | None]


@dataclass(frozen=True)
class ParsedDesign:
    """A valid design table."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    @property
    def factors(self) -> tuple[str, ...]:
        """The columns that do not identify the row."""
        return tuple(name for name in self.columns if name not in KEYS)


def parse_csv(data: bytes) -> ParsedDesign:
    """Parse a table with commas, semicolons or tabs, as spreadsheets write it.

    Raises:
        DesignTableError: If the table is invalid.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DesignTableError(
            f"the design table is not UTF-8 (byte {error.start}): save it as CSV in UTF-8"
        ) from error
    header = text.partition("\n")[0]
    delimiter = max((",", ";", "\t"), key=header.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if any(row)]
    except csv.Error as error:
        raise DesignTableError(f"the design table is not valid CSV: {error}") from error
    if not rows:
        raise DesignTableError("the design table is empty: send a header, and a row for each plate")
    return check_design([name.strip() for name in rows[0]], rows[1:])


def parse_json(data: bytes) -> ParsedDesign:
    """Parse a JSON array of objects, one for each row, such as [{"plate": "p1", "genotype": "col-0"}].

    Raises:
        DesignTableError: If the table is invalid.
    """
    try:
        rows = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DesignTableError(f"the design table is not valid JSON: {str(error)[:200]}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DesignTableError('the design table is not an array of objects: send [{"plate": "p1", "genotype": "…"}]')
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return check_design(columns, [[_json_cell(row.get(name)) for name in columns] for row in rows])


def _json_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise DesignTableError("a cell of the design table is an array or an object: send texts and numbers")


def check_design(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> ParsedDesign:
    """Return a checked table.

    Raises:
        DesignTableError: If a column or a row is invalid, or if two rows are for the same plate, image or plant.
    """
    _check_columns(columns)
    if len(rows) > MAX_ROWS:
        raise DesignTableError(f"the design table has {len(rows)} rows: send up to {MAX_ROWS}")
    checked: list[tuple[str, ...]] = []
    seen: dict[_Key, int] = {}
    for number, cells in enumerate(rows, 1):
        row = tuple(cell.strip() for cell in cells)
        if len(row) != len(columns):
            raise DesignTableError(f"row {number} has {len(row)} cells for {len(columns)} columns: correct it")
        if any(len(cell) > MAX_CELL_LENGTH or "\x00" in cell for cell in row):
            raise DesignTableError(f"row {number} has a cell that is longer than {MAX_CELL_LENGTH} characters, or NUL")
        key = _row_key(columns, row, number)
        if key in seen:
            raise DesignTableError(f"the rows {seen[key]} and {number} are for the same subject: remove one of them")
        seen[key] = number
        checked.append(row)
    return ParsedDesign(tuple(columns), tuple(checked))


def _check_columns(columns: Sequence[str]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise DesignTableError(f"the design table has {len(columns)} columns: send up to {MAX_COLUMNS}")
    if not {"image", "plate"} & set(columns):
        raise DesignTableError("the design table has neither a column `plate` nor a column `image`: add one of them")
    for name in columns:
        if not name or len(name) > MAX_NAME_LENGTH or not name.isprintable():
            raise DesignTableError(
                f"a column of the design table has no printable name of up to {MAX_NAME_LENGTH} characters: rename it"
            )
        if columns.count(name) > 1:
            raise DesignTableError(f"the design table has the column {name!r} twice: rename one of them")
        if _is_result_column(name):
            raise DesignTableError(f"the column {name!r} has the name of a column of results: rename it")


def _is_result_column(name: str) -> bool:
    # Imported here, because SciPy is slow to import. Tables are parsed in workers, which have it.
    from thale.exports.table import LONG_COLUMNS, WIDE_COLUMNS
    from thale.phenotyping.traits.table import TRAITS

    if name in {*LONG_COLUMNS, *WIDE_COLUMNS, *_OWN_COLUMNS} - set(KEYS):
        return True
    return any(name == trait or name.startswith(f"{trait}_") for trait in TRAITS)


def _row_key(columns: Sequence[str], row: Sequence[str], number: int) -> _Key:
    cells = dict(zip(columns, row, strict=True))
    plant = cells.get("plant")
    if plant and not re.fullmatch(r"[1-9][0-9]{0,3}", plant):
        raise DesignTableError(f"row {number}: the plant {plant[:20]!r} is not a number from 1: correct it")
    image, plate = cells.get("image"), cells.get("plate")
    if not image and not plate:
        raise DesignTableError(f"row {number} names neither a plate nor an image: fill in the cell")
    return (strip_suffix(image) if image else None, plate or None, int(plant) if plant else None)


class DesignIndex:
    """Finds the row of a plant or plate. An image name is compared without its suffix."""

    def __init__(self, design: ParsedDesign) -> None:
        positions = [index for index, name in enumerate(design.columns) if name not in KEYS]
        self._unknown = ("",) * len(positions)
        self._factors: Mapping[_Key, tuple[str, ...]] = {
            _row_key(design.columns, row, number): tuple(row[position] for position in positions)
            for number, row in enumerate(design.rows, 1)
        }

    def find(self, image: str, plate: str, plant: int | None) -> tuple[str, ...]:
        """Return the factors of a subject by its most specific row. They are empty if it has no row."""
        name = strip_suffix(image)
        for names in ((name, plate), (name, None), (None, plate)):
            for key in ((*names, plant), (*names, None)):
                if (found := self._factors.get(key)) is not None:
                    return found
        return self._unknown


def match_rows(design: ParsedDesign, images: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """Return the number of rows without an image, and of images without a row. Images are names and plates."""
    by_names: dict[tuple[str | None, str | None], set[int]] = {}
    for number, row in enumerate(design.rows, 1):
        by_names.setdefault(_row_key(design.columns, row, number)[:2], set()).add(number)
    unmatched, without_row = set(range(1, len(design.rows) + 1)), 0
    for image, plate in images:
        name = strip_suffix(image)
        found: set[int] = set()
        for names in ((name, plate), (name, None), (None, plate)):
            found |= by_names.get(names, set())
        without_row += not found
        unmatched -= found
    return len(unmatched), without_row
