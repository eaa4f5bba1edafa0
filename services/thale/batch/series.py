"""Series from a folder of results: `series.json`, `series.csv` and `growth.csv`."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from thale._version import __version__
from thale.batch.result_index import WRITE_FAILURE
from thale.batch.results import COCO, PLANTCV, read_result
from thale.errors import ParameterError
from thale.exports import series_table
from thale.exports.table import to_csv
from thale.host.files import access_errors, replace_atomically, write_atomically
from thale.schemas import Flag
from thale.series.follow import TimedPhenotype, follow_plate
from thale.series.plan import PlannedPhotograph
from thale.series.schemas import PlateSeries, SeriesResult

SERIES_JSON, SERIES_TABLE, GROWTH_TABLE = "series.json", "series.csv", "growth.csv"
_OTHER_JSON = frozenset({COCO, PLANTCV, SERIES_JSON})
_MAX_LISTED = 5


def find_result_names(results: Path) -> list[str]:
    """Return the names of the results in a folder, or in the column `image` of a table in the same folder.

    Raises:
        ParameterError: If there is no such folder or table, or if it has no result.
    """
    if results.is_dir():
        paths = sorted(path.relative_to(results) for path in results.rglob("*.json"))
        names = [
            path.with_suffix("").as_posix()
            for path in paths
            if path.as_posix() not in _OTHER_JSON and not any(part.startswith(".") for part in path.parts)
        ]
    elif results.is_file() and results.suffix.lower() == ".csv":
        with results.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)  # a spreadsheet may have saved the table with semicolons
            delimiter = ";" if header.count(";") > header.count(",") else ","
            images = dict.fromkeys(row.get("image") or "" for row in csv.DictReader(file, delimiter=delimiter))
        names = [Path(image).with_suffix("").as_posix() for image in images if image]
    else:
        raise ParameterError(f"--from {results} is neither a folder of results nor a table in one")
    if not names:
        raise ParameterError(f"--from {results} has no results of `thale analyze`: pass its folder --out")
    return names


def write_series(
    results: Path,
    out: Path,
    plates: Mapping[str, Sequence[PlannedPhotograph]],
    result_names: Mapping[int, str],
) -> SeriesResult:
    """Follow each plate, write the files of the series, and return it.

    The results of one plate at a time are in memory.

    Args:
        results: Folder of the results.
        out: Folder of the series.
        plates: Photographs of each plate.
        result_names: Result name of each photograph, by its index. A photograph that failed has none.

    Raises:
        ParameterError: If a result is missing or damaged.
        FileAccessError: If a file cannot be written.
    """
    header = to_csv(series_table.SERIES_COLUMNS, [])
    found: list[PlateSeries] = []
    with access_errors(WRITE_FAILURE):
        out.mkdir(parents=True, exist_ok=True)
        with (
            replace_atomically(out / SERIES_TABLE) as partial,
            partial.open("w", encoding="utf-8", newline="") as table,
        ):
            table.write(header)
            for plate, photographs in plates.items():
                measured = [photograph for photograph in photographs if photograph.index in result_names]
                if not measured:
                    continue
                timed = [
                    TimedPhenotype(
                        read_result(results, result_names[photograph.index]),
                        photograph.timestamp,
                        photograph.name,
                    )
                    for photograph in sorted(measured, key=lambda photograph: photograph.timestamp.time)
                ]
                found.append(follow_plate(plate, timed, _failure_flags(photographs, result_names)))
                rows = series_table.long_csv(found[-1], [item.phenotype for item in timed])
                table.write(rows.removeprefix(header))
        series = SeriesResult(plates=tuple(found), package_version=__version__)
        write_atomically(out / GROWTH_TABLE, series_table.growth_csv(found).encode())
        write_atomically(out / SERIES_JSON, series.model_dump_json(indent=1).encode())
    return series


def _failure_flags(photographs: Sequence[PlannedPhotograph], result_names: Mapping[int, str]) -> list[Flag]:
    failed = [photograph.name for photograph in photographs if photograph.index not in result_names]
    if not failed:
        return []
    listed = ", ".join(failed[:_MAX_LISTED]) + (" …" if len(failed) > _MAX_LISTED else "")
    message = f"{len(failed)} photographs could not be measured ({listed}): failed.csv has the reasons"
    return [Flag(code="not_measured", message=message)]
