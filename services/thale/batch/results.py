"""Files of one result, and tables of all results."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from thale.batch.result_index import WRITE_FAILURE
from thale.errors import ParameterError
from thale.exports import coco, overlay, plantcv, rsml, table
from thale.host.files import access_errors, replace_atomically, write_atomically
from thale.imaging.image_io import decode_reduced
from thale.schemas import Phenotype

LONG_TABLE = "traits.csv"
WIDE_TABLE = "traits_wide.csv"
COCO = "coco.json"
PLANTCV = "plantcv.json"
_SUFFIXES = (".overlay.png", ".rsml", ".json")


def write_result(folder: Path, name: str, phenotype: Phenotype, image: bytes, page: int | None = None) -> None:
    """Write NAME.json, NAME.overlay.png and, for an image with roots, NAME.rsml, each atomically.

    archiDART reads all RSML files of a folder, and fails on a file without roots.

    Raises:
        ImageError: If the image cannot be decoded.
        OSError: If the disk is full or the folder cannot be written.
    """
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    photo = decode_reduced(image, page, overlay.MIN_SOURCE_PX)
    write_atomically(_path(folder, name, ".overlay.png"), overlay.draw(photo, phenotype))
    if rsml.has_roots(phenotype):
        write_atomically(_path(folder, name, ".rsml"), rsml.write(phenotype))
    else:
        _path(folder, name, ".rsml").unlink(missing_ok=True)
    write_atomically(_path(folder, name, ".json"), phenotype.model_dump_json(indent=1).encode())


def is_complete(folder: Path, name: str) -> bool:
    """Return True if all files of a result exist. An image without roots has no RSML file."""
    missing = [suffix for suffix in _SUFFIXES if not _path(folder, name, suffix).exists()]
    return not missing or (missing == [".rsml"] and _has_no_roots(folder, name))


def _has_no_roots(folder: Path, name: str) -> bool:
    try:
        return not rsml.has_roots(read_result(folder, name))
    except ParameterError:
        return False


def remove_result(folder: Path, name: str) -> None:
    """Remove the files of a result."""
    for suffix in _SUFFIXES:
        _path(folder, name, suffix).unlink(missing_ok=True)


def read_result(folder: Path, name: str) -> Phenotype:
    """Read NAME.json. Fields that only a newer version of thale knows are ignored.

    Raises:
        ParameterError: If the file is missing or damaged.
    """
    path = _path(folder, name, ".json")
    try:
        return Phenotype.model_validate_json(path.read_bytes(), extra="ignore")
    except (FileNotFoundError, ValidationError) as error:
        raise ParameterError(f"{path} is missing or damaged: delete it and run `thale analyze` again") from error


def write_tables(
    folder: Path,
    names: Sequence[str],
    *,
    with_coco: bool = False,
    with_plantcv: bool = False,
    with_bom: bool = False,
) -> None:
    """Write the long and the wide table of these results, and coco.json and plantcv.json if requested.

    With a byte order mark (`with_bom`), Excel reads the tables as UTF-8. R and pandas then need `utf-8-sig`.

    All but coco.json are written with one result at a time, so that ten thousand results fit into memory.

    Raises:
        ParameterError: If a result is missing or damaged.
        FileAccessError: If a table cannot be written. The table of an earlier run is unchanged.
    """
    with access_errors(WRITE_FAILURE):
        _write_tables(folder, names, "utf-8-sig" if with_bom else "utf-8")
        if with_coco:
            write_atomically(folder / COCO, coco.write(read_result(folder, name) for name in names))
        if with_plantcv:
            with _open_atomically(folder / PLANTCV) as out:
                out.writelines(plantcv.chunks(read_result(folder, name) for name in names))


def _write_tables(folder: Path, names: Sequence[str], encoding: str) -> None:
    long_header = table.long_csv([])
    wide = _WideTable()
    with _open_atomically(folder / LONG_TABLE, encoding) as long:
        long.write(long_header)
        for name in names:
            phenotype = read_result(folder, name)
            long.write(table.long_csv([phenotype]).removeprefix(long_header))
            wide.add(phenotype)
    with _open_atomically(folder / WIDE_TABLE, encoding) as out:
        wide.write(out)


class _WideTable:
    """A wide table, built image by image. Its columns are complete only after the last image."""

    def __init__(self) -> None:
        self._chunks: list[str] = []
        self._examples: dict[str, Phenotype] = {}
        """One phenotype for each distinct set of columns. Their union has all columns in the right order."""

    def add(self, phenotype: Phenotype) -> None:
        chunk = table.wide_csv([phenotype])
        self._chunks.append(chunk)
        self._examples.setdefault(chunk.partition("\n")[0], phenotype)

    def write(self, out: IO[str]) -> None:
        header = table.wide_csv(self._examples.values()).partition("\n")[0]
        writer = csv.DictWriter(out, next(csv.reader([header])), restval="", lineterminator="\n")
        writer.writeheader()
        for chunk in self._chunks:
            writer.writerows(csv.DictReader(io.StringIO(chunk)))


def write_failures(path: Path, failures: Iterable[tuple[str, str]]) -> None:
    """Write the failed files with reasons, or remove the list of an earlier run if there are none.

    Raises:
        FileAccessError: If the list cannot be written or removed.
    """
    rows = list(failures)
    with access_errors(WRITE_FAILURE):
        if not rows:
            path.unlink(missing_ok=True)
            return
        text = io.StringIO(newline="")
        csv.writer(text).writerows([("file", "reason"), *rows])
        write_atomically(path, text.getvalue().encode())


def _path(folder: Path, name: str, suffix: str) -> Path:
    return folder / f"{name}{suffix}"


@contextmanager
def _open_atomically(path: Path, encoding: str = "utf-8") -> Iterator[IO[str]]:
    """Open a text file that replaces `path` when the context ends without an exception."""
    with replace_atomically(path) as partial, partial.open("w", encoding=encoding, newline="") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
