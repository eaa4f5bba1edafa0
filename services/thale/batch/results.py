"""The files of one result, and the tables over all of them."""

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from thale.contract import Phenotype
from thale.errors import ParameterError
from thale.exports import coco, overlay, rsml, table
from thale.files import write_atomically
from thale.images import decode

LONG_TABLE = "traits.csv"
WIDE_TABLE = "traits_wide.csv"
COCO = "coco.json"
_KINDS = (".overlay.png", ".rsml", ".json")


def write_result(folder: Path, name: str, phenotype: Phenotype, image: bytes, page: int | None = None) -> None:
    """Write NAME.json, NAME.overlay.png and NAME.rsml, each whole or not at all.

    Raises:
        ImageError: If the image cannot be decoded here.
        OSError: If the disk is full or the folder cannot be written.
    """
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(_path(folder, name, ".overlay.png"), overlay.draw(decode(image, page), phenotype))
    write_atomically(_path(folder, name, ".rsml"), rsml.write(phenotype))
    write_atomically(_path(folder, name, ".json"), phenotype.model_dump_json(indent=1).encode())


def is_complete(folder: Path, name: str) -> bool:
    """Whether all files of a result lie there."""
    return all(_path(folder, name, kind).exists() for kind in _KINDS)


def remove_result(folder: Path, name: str) -> None:
    """Remove the files of a result that counts no longer."""
    for kind in _KINDS:
        _path(folder, name, kind).unlink(missing_ok=True)


def read_result(folder: Path, name: str) -> Phenotype:
    """Read NAME.json.

    Raises:
        ParameterError: If it is gone or damaged.
    """
    path = _path(folder, name, ".json")
    try:
        return Phenotype.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError) as error:
        raise ParameterError(f"{path} is damaged: delete it and run `thale analyze` again") from error


def write_tables(folder: Path, names: Sequence[str], with_coco: bool = False) -> None:
    """Write the long and the wide table over these results, and coco.json where it is wanted.

    The results are read one by one: ten thousand need no more memory than one.

    Raises:
        ParameterError: If a result is gone or damaged.
    """
    for file, write in ((LONG_TABLE, table.long_csv), (WIDE_TABLE, table.wide_csv)):
        with _replacing(folder / file) as out:
            out.writelines(_joined(write, (read_result(folder, name) for name in names)))
    if with_coco:
        write_atomically(folder / COCO, coco.write([read_result(folder, name) for name in names]))


def write_failures(path: Path, failures: Iterable[tuple[str, str]]) -> None:
    """Write which files failed and why; remove the list of an earlier run if none did."""
    rows = list(failures)
    if not rows:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("file", "reason"), *rows])
    write_atomically(path, text.getvalue().encode())


def _path(folder: Path, name: str, kind: str) -> Path:
    return folder / f"{name}{kind}"


def _joined(write: Callable[[Sequence[Phenotype]], str], phenotypes: Iterable[Phenotype]) -> Iterator[str]:
    """Yield one table over all phenotypes, made of tables of one: the header stands only once."""
    header = write([])
    yield header
    for phenotype in phenotypes:
        yield write([phenotype]).removeprefix(header)


@contextmanager
def _replacing(path: Path) -> Iterator[io.TextIOWrapper]:
    """Open a text file that takes its place when it is complete."""
    partial = path.with_name(f".{path.name}.part")
    with partial.open("w", encoding="utf-8", newline="") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
