"""Archives of a publication: a ZIP with tab-separated files, as ISA-Tab or as the sections of MIAPPE."""

import csv
import io
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TextIO

from thale.exports.miappe.checklist import DATA_FILE, Publication, Row
from thale.exports.miappe.isa_tab import assay_name, assay_rows, investigation_rows, study_rows, variable_rows
from thale.schemas.brapi import BrapiObservation

_DATA_COLUMNS = (
    *("Assay Name", "Observation unit ID", "Variable ID", "Date", "Value", "Interval low", "Interval high"),
    *("Quality", "Flags", "Image file", "Measurement ID"),
)
Rows = Iterable[Sequence[str]]


def write_isa_tab(out: IO[bytes], publication: Publication, observations: Iterable[BrapiObservation]) -> None:
    """Write an ISA-Tab archive with the fields of MIAPPE.

    Args:
        out: The archive.
        publication: The experiment.
        observations: Its observations in the order of the server, which groups them by photograph and unit.
    """
    assays: dict[str, BrapiObservation] = {}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        _write_data(archive, observations, assays)
        _write(archive, "i_investigation.txt", investigation_rows(publication))
        _write(archive, "s_study.txt", study_rows(publication))
        _write(archive, "a_phenotyping.txt", assay_rows(publication, assays.values()))
        _write(archive, "tdf.txt", variable_rows(publication))


def write_miappe(
    out: IO[bytes], sections: Mapping[str, Sequence[Row]], observations: Iterable[BrapiObservation]
) -> None:
    """Write an archive with a table for each section of the MIAPPE checklist, and the data file."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for section, rows in sections.items():
            if rows:
                columns = tuple(rows[0])
                table = [columns, *(tuple(row[column] for column in columns) for row in rows)]
                _write(archive, f"{section.lower().replace(' ', '_')}.txt", table)
        _write_data(archive, observations, {})


def _write_data(
    archive: zipfile.ZipFile, observations: Iterable[BrapiObservation], assays: dict[str, BrapiObservation]
) -> None:
    def rows() -> Iterator[Sequence[str]]:
        yield _DATA_COLUMNS
        for item in observations:
            info = item.additionalInfo
            name = assay_name(item)
            assays.setdefault(name, item)
            yield (
                name,
                item.observationUnitDbId,
                item.observationVariableDbId,
                item.observationTimeStamp or "",
                item.value or "",
                info.get("intervalLow", ""),
                info.get("intervalHigh", ""),
                info.get("quality", ""),
                info.get("flags", ""),
                info.get("image", ""),
                info.get("measurementId", ""),
            )

    _write(archive, DATA_FILE, rows())


def _write(archive: zipfile.ZipFile, name: str, rows: Rows) -> None:
    with _open_text(archive, name) as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
        writer.writerows([clean(cell) for cell in row] for row in rows)


@contextmanager
def _open_text(archive: zipfile.ZipFile, name: str) -> Iterator[TextIO]:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # equal data gives equal archives
    entry.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(entry, "w", force_zip64=True) as raw, io.TextIOWrapper(raw, "utf-8", newline="") as file:
        yield file


def clean(text: str) -> str:
    """Return a cell without control characters and line breaks, which break readers of ISA-Tab."""
    return "".join(" " if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") else letter for letter in text)
