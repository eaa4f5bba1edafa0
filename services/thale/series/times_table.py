"""Table of times: a CSV file with the column `file`, and `time` or `plate` or both."""

import csv
import io
from pathlib import Path

from thale.errors import ParameterError
from thale.series.plates import strip_suffix

_MAX_LISTED = 5


class TimesTable:
    """Time and plate of each photograph, by its path or by its file name."""

    def __init__(self, path: Path, rows: dict[str, tuple[str | None, str | None]]) -> None:
        self._path = path
        self._rows = rows

    @classmethod
    def read(cls, path: Path) -> "TimesTable":
        """Read a table with commas or semicolons, as spreadsheets write it.

        Raises:
            ParameterError: If the file cannot be read, lacks a column, or has a photograph twice.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ParameterError(f"--times {path} cannot be read: {error}: save it as CSV in UTF-8") from error
        header = text.partition("\n")[0]
        reader = csv.DictReader(io.StringIO(text), delimiter=";" if header.count(";") > header.count(",") else ",")
        columns = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
        if "file" not in columns or not columns.keys() & {"time", "plate"}:
            raise ParameterError(
                f"--times {path} needs the columns `file` and `time` (ISO 8601), and optionally `plate`"
            )
        rows: dict[str, tuple[str | None, str | None]] = {}
        for row in reader:
            name = strip_suffix((row[columns["file"]] or "").strip())
            if not name:
                continue
            if name in rows:
                raise ParameterError(f"--times {path} has {name} twice: remove one of the rows")
            time, plate = ((row[columns[key]] or "").strip() if key in columns else None for key in ("time", "plate"))
            rows[name] = (time or None, plate or None)
        return cls(path, rows)

    def check_complete(self, names: list[str]) -> None:
        """Check that the table has each photograph, and no other.

        Raises:
            ParameterError: If a photograph has no row, or if a row has no photograph.
        """
        missing = [name for name in names if self._key(name) is None]
        if missing:
            raise ParameterError(f"--times {self._path} has no row for {_list(missing)}: add it, or move the file away")
        unused = sorted(self._rows.keys() - {self._key(name) for name in names})
        if unused:
            raise ParameterError(
                f"--times {self._path} has rows without a photograph, {_list(unused)}: correct the names"
            )

    def find(self, name: str) -> tuple[str | None, str | None]:
        """Return the time and the plate of a photograph. Both are None if it has no row."""
        key = self._key(name)
        return (None, None) if key is None else self._rows[key]

    def _key(self, name: str) -> str | None:
        label = strip_suffix(name)
        return next((key for key in (label, label.rpartition("/")[2]) if key in self._rows), None)


def _list(names: list[str]) -> str:
    return ", ".join(names[:_MAX_LISTED]) + (
        f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    )
